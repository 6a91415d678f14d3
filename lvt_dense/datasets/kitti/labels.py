"""KITTI's text files: labels, results, calibration and lists of frames.

Every reader raises :class:`lvt_dense.errors.UserError` that names the file
and, where there is one, the line. Formats: the readme of KITTI's object
development kit (Geiger et al., CVPR 2012).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from lvt_dense.errors import UserError

PathLike = str | Path

FIELD_NAMES = (
    'type truncated occluded alpha x1 y1 x2 y2 height width length x y z '
    'rotation_y'
)


@dataclass
class KittiObjects:
    """The objects of a frame, or of many, one array a field.

    Attributes:
        types: (N,) names as in the file: Car, Van, DontCare ...
        truncated: (N,) 0 to 1, or -1 if unknown.
        occluded: (N,) 0 visible, 1 partly, 2 largely, 3 unknown; or -1.
        alphas: (N,) observation angles in radians, -10 if unknown.
        bboxes: (N, 4) x1, y1, x2, y2 in pixels of the original image.
        boxes_3d: (N, 7) x, y, z, l, h, w, ry as in lvt_dense.structures.
        scores: (N,), 1 for labels.
    """

    types: np.ndarray
    truncated: np.ndarray
    occluded: np.ndarray
    alphas: np.ndarray
    bboxes: np.ndarray
    boxes_3d: np.ndarray
    scores: np.ndarray

    def __len__(self) -> int:
        return len(self.types)

    def __getitem__(self, index) -> 'KittiObjects':
        """The objects under a mask, a slice or an array of indices."""
        return KittiObjects(
            **{f.name: getattr(self, f.name)[index] for f in fields(self)}
        )

    def is_type(self, *names: str) -> np.ndarray:
        """Which objects (N,) have one of these types, in any letter case."""
        wanted = [name.lower() for name in names]
        return np.isin(np.char.lower(self.types), wanted)

    @classmethod
    def from_rows(
        cls, types: Sequence[str], values: Sequence[Sequence[float]]
    ) -> 'KittiObjects':
        """From names and (N, 14 or 15) numbers in the order of the file."""
        table = np.asarray(values, dtype=np.float64)
        if not len(types):
            table = np.zeros((0, 15))
        if table.shape[1] == 14:
            table = np.concatenate((table, np.ones((len(table), 1))), 1)
        return cls(
            types=np.asarray(types, dtype=np.str_),
            truncated=table[:, 0],
            occluded=table[:, 1].astype(np.int64),
            alphas=table[:, 2],
            bboxes=table[:, 3:7],
            # The file has height, width, length, and then the location.
            boxes_3d=table[:, [10, 11, 12, 9, 7, 8, 13]],
            scores=table[:, 14],
        )

    @classmethod
    def concatenate(cls, parts: Sequence['KittiObjects']) -> 'KittiObjects':
        """One collection out of several, in their order."""
        parts = [*parts, cls.from_rows([], [])]
        return cls(
            **{
                f.name: np.concatenate([getattr(p, f.name) for p in parts])
                for f in fields(cls)
            }
        )


def read_labels(path: PathLike) -> KittiObjects:
    """Reads a label file: 15 fields a line.

    Raises:
        UserError: the file is missing, or a line has another number of
            fields, or a field that is no finite number.
    """
    return _read_objects(Path(path), 15)


def read_results(path: PathLike) -> KittiObjects:
    """Reads a result file: 15 fields and the score; raises as read_labels."""
    return _read_objects(Path(path), 16)


def read_calib(path: PathLike) -> np.ndarray:
    """Reads the (4, 4) projection matrix of camera 2, last row (0, 0, 0, 1).

    Raises:
        UserError: the file is missing, or has no P2 of 12 finite numbers.
    """
    path = Path(path)
    for number, line in enumerate(_read_lines(path), 1):
        name, _, values = line.partition(':')
        if name.strip() != 'P2':
            continue
        numbers = _parse_numbers(values.split(), f'{path}:{number}')
        if len(numbers) != 12:
            raise UserError(
                f'{path}:{number}: P2 has {len(numbers)} numbers, but a '
                '3 x 4 matrix has 12; restore the file from KITTI'
            )
        rows = np.array([*numbers, 0, 0, 0, 1], dtype=np.float64)
        return rows.reshape(4, 4)
    raise UserError(
        f'{path}: no line starts with "P2:", the projection matrix of the '
        'left colour camera; take the file from data_object_calib.zip'
    )


def read_frame_ids(path: PathLike) -> dict[str, int]:
    """Reads a list of frames, one identifier such as 000012 a line.

    Returns:
        The number of the line of each frame, in the order of the file.

    Raises:
        UserError: the file is missing, empty or names a frame twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f'{path}: no such list of frames. KITTI does not ship ImageSets: '
            'take train.txt and val.txt (3712 and 3769 lines) from the '
            'repository of any KITTI detector, e.g. data/kitti/ImageSets of '
            'open-mmlab/OpenPCDet'
        )
    first_line = {}
    for number, line in enumerate(_read_lines(path), 1):
        name = line.strip()
        if not name:
            continue
        if len(name.split()) > 1 or '/' in name or '\\' in name:
            raise UserError(
                f'{path}:{number}: "{name}" is no frame; allowed is one '
                'identifier a line, such as 000012'
            )
        if name in first_line:
            raise UserError(
                f'{path}:{number}: frame {name} was listed before, in line '
                f'{first_line[name]}; remove one of the two'
            )
        first_line[name] = number
    if not first_line:
        raise UserError(f'{path}: lists no frames; one identifier a line')
    return first_line


def _read_objects(path: Path, num_fields: int) -> KittiObjects:
    types, values = [], []
    for number, line in enumerate(_read_lines(path), 1):
        words = line.split()
        if not words:
            continue
        if len(words) != num_fields:
            kind, extra = (
                ('result', ' score') if num_fields == 16 else ('label', '')
            )
            raise UserError(
                f'{path}:{number}: {len(words)} fields, but a {kind} has '
                f'{num_fields}: {FIELD_NAMES}{extra}'
            )
        types.append(words[0])
        values.append(_parse_numbers(words[1:], f'{path}:{number}'))
    return KittiObjects.from_rows(types, values)


def _parse_numbers(words: Sequence[str], place: str) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise UserError(
            f'{place}: {error}; every field after the first is a number'
        ) from None
    for word, number in zip(words, numbers):
        if not math.isfinite(number):
            raise UserError(f'{place}: "{word}" is not a finite number')
    return numbers


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding='utf-8').splitlines()
    except FileNotFoundError:
        raise UserError(f'{path}: no such file') from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f'{path}: cannot be read as text: {error}') from None
