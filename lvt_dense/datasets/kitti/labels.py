"""KITTI's text files: labels, results, calibrations and lists of frames.

Every reader raises :class:`lvt_dense.utils.errors.UserError` that names the
file and, where there is one, the line. A byte order mark is skipped. Formats:
the readme of KITTI's object development kit (Geiger et al., CVPR 2012).
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from lvt_dense.structures.angles import wrap_angle
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES, read_text

PathLike = str | Path

# The numbers of a line after the type, in order, with the value that stands
# for an unknown one. Every reader and writer takes the order from here.
_UNKNOWN = dict(
    truncated=-1,
    occluded=-1,
    alpha=-10,
    x1=None,
    y1=None,
    x2=None,
    y2=None,
    height=-1,
    width=-1,
    length=-1,
    x=-1000,
    y=-1000,
    z=-1000,
    rotation_y=-10,
)
_COLUMNS = {name: index for index, name in enumerate(_UNKNOWN)}
_BBOX = [_COLUMNS[name] for name in ('x1', 'y1', 'x2', 'y2')]
_BOX_3D = [
    _COLUMNS[name]
    for name in ('x', 'y', 'z', 'length', 'height', 'width', 'rotation_y')
]
_NUM_LABEL_FIELDS = 1 + len(_COLUMNS)
# What stands for no angle and no place, with the rounding of a file.
_NO_ANGLE, _NO_PLACE = -9.99, -999.99
DONT_CARE = 'DontCare'


@dataclass
class KittiObjects:
    """Objects of one frame or of many, one array a field.

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

    def __getitem__(self, index: np.ndarray | slice) -> 'KittiObjects':
        """Select objects by a mask, a slice or an array of indices."""
        return KittiObjects(
            **{f.name: getattr(self, f.name)[index] for f in fields(self)}
        )

    def is_type(self, *names: str) -> np.ndarray:
        """Tell which objects (N,) have one of these types, in any case."""
        wanted = [name.lower() for name in names]
        return np.isin(np.char.lower(self.types), wanted)

    def lacks_alpha(self) -> np.ndarray:
        """Tell which objects (N,) have no observation angle."""
        return self.alphas <= _NO_ANGLE

    def complete_alphas(self) -> 'KittiObjects':
        """Compute missing observation angles from yaw and position.

        Those of objects without either, as DontCare regions, stay unknown.

        Returns:
            Objects of the same order, with ``alpha = ry - atan2(x, z)``
            where there was none.
        """
        x, z, yaw = self.boxes_3d[:, [0, 2, 6]].T
        is_placed = (z > _NO_PLACE) & (yaw > _NO_ANGLE)
        angles = wrap_angle(yaw - np.arctan2(x, z))
        missing = self.lacks_alpha() & is_placed
        return replace(self, alphas=np.where(missing, angles, self.alphas))

    @classmethod
    def from_rows(
        cls, types: Sequence[str], values: Sequence[Sequence[float]]
    ) -> 'KittiObjects':
        """Build objects from the fields of lines.

        Args:
            types: (N,) first fields.
            values: (N, 14) the numbers after them, or (N, 15) with scores.
        """
        table = np.asarray(values, dtype=np.float64)
        if not len(types):
            table = np.zeros((0, len(_COLUMNS) + 1))
        if table.shape[1] == len(_COLUMNS):
            table = np.concatenate((table, np.ones((len(table), 1))), 1)
        return cls(
            types=np.asarray(types, dtype=np.str_),
            truncated=table[:, _COLUMNS['truncated']],
            occluded=table[:, _COLUMNS['occluded']].astype(np.int64),
            alphas=table[:, _COLUMNS['alpha']],
            bboxes=table[:, _BBOX],
            boxes_3d=table[:, _BOX_3D],
            scores=table[:, -1],
        )

    def to_rows(self) -> np.ndarray:
        """Return the numbers (N, 14) of the lines of a label file."""
        table = np.empty((len(self), len(_COLUMNS)))
        table[:, _COLUMNS['truncated']] = self.truncated
        table[:, _COLUMNS['occluded']] = self.occluded
        table[:, _COLUMNS['alpha']] = self.alphas
        table[:, _BBOX] = self.bboxes
        table[:, _BOX_3D] = self.boxes_3d
        return table

    @classmethod
    def dont_care(cls, bboxes: np.ndarray) -> 'KittiObjects':
        """Build DontCare regions of 2D boxes (N, 4)."""
        row = [0 if value is None else value for value in _UNKNOWN.values()]
        table = np.tile(np.array(row, dtype=np.float64), (len(bboxes), 1))
        table[:, _BBOX] = bboxes
        return cls.from_rows([DONT_CARE] * len(bboxes), table.tolist())

    @classmethod
    def concatenate(cls, parts: Sequence['KittiObjects']) -> 'KittiObjects':
        """Join collections in their order."""
        parts = [*parts, cls.from_rows([], [])]
        return cls(
            **{
                f.name: np.concatenate([getattr(p, f.name) for p in parts])
                for f in fields(cls)
            }
        )


def read_labels(path: PathLike) -> KittiObjects:
    """Read a label file: 15 fields a line.

    A 16th field, such as the score that nuScenes' export writes, is left out.

    Raises:
        UserError: The file is missing, or a line has another number of
            fields, or a field that is no finite number.
    """
    found = _read_objects(Path(path), 'label', _NUM_LABEL_FIELDS, 1)
    found.scores = np.ones(len(found))
    return found


def read_results(path: PathLike) -> KittiObjects:
    """Read a result file: 15 fields and the score.

    Raises:
        UserError: As for :func:`read_labels`.
    """
    return _read_objects(Path(path), 'result', _NUM_LABEL_FIELDS + 1)


def format_objects(
    objects: KittiObjects, digits: int = 2, with_scores: bool = False
) -> str:
    """Format a label or result file, one line an object.

    Unknown values are written as KITTI does, without decimals.

    Args:
        objects: Objects of one frame; none give an empty text.
        digits: Decimals of all numbers but occlusion and score.
        with_scores: Add the score, with six decimals.
    """
    unknown = list(_UNKNOWN.values())
    integers = {_COLUMNS['occluded']}
    lines = []
    for i, row in enumerate(objects.to_rows()):
        words = [str(objects.types[i])]
        for column, value in enumerate(row):
            whole = column in integers or value == unknown[column]
            words.append(f'{value:.{0 if whole else digits}f}')
        if with_scores:
            words.append(f'{objects.scores[i]:.6f}')
        lines.append(' '.join(words) + '\n')
    return ''.join(lines)


def read_calib(path: PathLike) -> np.ndarray:
    """Read the (4, 4) projection matrix of camera 2.

    Its last row is (0, 0, 0, 1).

    Raises:
        UserError: The file is missing, or has no P2 of 12 finite numbers
            that is the matrix of a camera.
    """
    path = Path(path)
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name, _, values = line.partition(':')
        if name.strip() != 'P2':
            continue
        place = f'{path}:{number}'
        numbers = _parse_numbers(values.split(), place)
        if len(numbers) != 12:
            raise UserError(
                f'{place}: P2 has {len(numbers)} numbers, but a 3 x 4 matrix '
                'has 12; restore the file from KITTI'
            )
        rows = np.array([*numbers, 0, 0, 0, 1], dtype=np.float64)
        matrix = rows.reshape(4, 4)
        if min(matrix[0, 0], matrix[1, 1]) <= 0 or not np.linalg.det(matrix):
            raise UserError(
                f'{place}: P2 is the matrix of no camera: its focal lengths '
                f'are {matrix[0, 0]:g} and {matrix[1, 1]:g} pixels; give the '
                '12 numbers of the 3 x 4 projection matrix'
            )
        return matrix
    raise UserError(
        f'{path}: no line starts with "P2:", the projection matrix of the '
        'left color camera; take the file from data_object_calib.zip'
    )


def find_calib(image_path: PathLike) -> Path:
    """Find the calibration file of an image.

    It is looked for where KITTI has it, in ``calib`` next to the folder of
    the image, and then beside the image; its name is the image's with the
    suffix ``.txt``.

    Raises:
        UserError: There is none.
    """
    image = Path(image_path)
    places = [
        image.parent.parent / 'calib' / f'{image.stem}.txt',
        image.with_suffix('.txt'),
    ]
    for place in places:
        if place.is_file():
            return place
    raise UserError(
        f'{image_path}: detection in 3D needs the camera; put a text file '
        f'with the line "P2: " and its 12 numbers at {places[0]} or '
        f'{places[1]}'
    )


def format_calib(matrices: Mapping[str, np.ndarray]) -> str:
    """Format a calibration file, one named matrix a line."""
    return ''.join(
        f'{name}: ' + ' '.join(f'{v:.12e}' for v in matrix.ravel()) + '\n'
        for name, matrix in matrices.items()
    )


def read_frame_ids(path: PathLike) -> dict[str, int]:
    """Read a list of frames, one identifier such as 000012 a line.

    The suffix of an image or text file is dropped.

    Returns:
        Number of the line of each frame, in the order of the file.

    Raises:
        UserError: The file is missing, empty or names a frame twice.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f'{path}: no such list of frames. KITTI does not ship ImageSets: '
            'take train.txt and val.txt (3712 and 3769 lines) from the '
            'repository of any KITTI detector, e.g. data/kitti/ImageSets of '
            'open-mmlab/OpenPCDet'
        )
    first_line: dict[str, int] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        name = line.strip()
        if not name:
            continue
        if len(name.split()) > 1 or '/' in name or '\\' in name:
            raise UserError(
                f'{path}:{number}: "{name}" is no frame; allowed is one '
                'identifier a line, such as 000012'
            )
        if Path(name).suffix.lower() in (*IMAGE_SUFFIXES, '.txt'):
            name = Path(name).stem
        _add_once(first_line, name, number, path)
    if not first_line:
        raise UserError(f'{path}: lists no frames; one identifier a line')
    return first_line


def match_frame_ids(
    ids: Mapping[str, int], known: Collection[str], path: PathLike
) -> dict[str, int]:
    """Complete identifiers that are given without leading zeros.

    Args:
        ids: As from :func:`read_frame_ids`.
        known: Names of the frames that there are.
        path: File of the list, for the message.

    Returns:
        ``ids`` with ``12`` turned into ``000012`` where only that is known.

    Raises:
        UserError: A frame is named twice in that way.
    """
    found: dict[str, int] = {}
    for name, number in ids.items():
        padded = name.zfill(6)
        if name not in known and name.isdigit() and padded in known:
            name = padded
        _add_once(found, name, number, path)
    return found


def _add_once(
    lines: dict[str, int], name: str, number: int, path: PathLike
) -> None:
    if name in lines:
        raise UserError(
            f'{path}:{number}: frame {name} was listed before, in line '
            f'{lines[name]}; remove one of the two'
        )
    lines[name] = number


def _read_objects(
    path: Path, kind: str, num_fields: int, more: int = 0
) -> KittiObjects:
    types, values = [], []
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        if not num_fields <= len(words) <= num_fields + more:
            extra = ' score' if num_fields > _NUM_LABEL_FIELDS else ''
            raise UserError(
                f'{path}:{number}: {len(words)} fields, but a {kind} has '
                f'{num_fields}: type {" ".join(_COLUMNS)}{extra}'
            )
        types.append(words[0])
        words = words[1:num_fields]
        values.append(_parse_numbers(words, f'{path}:{number}'))
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
