"""What all writers share: the series of frames, whole-or-nothing output."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from lvt_dense.scenes.camera import Camera
from lvt_dense.scenes.frame import Frame, render
from lvt_dense.scenes.layout import Profile
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.progress import tqdm

# Names the folders that this package wrote, and may therefore replace.
RECEIPT = 'demo_data.json'


@dataclass(frozen=True)
class Series:
    """A series of frames and its division into train and val.

    Args:
        num_images: Number of frames, at least 1.
        seed: Selects the series, at least 0.
        size: Width and height in pixels.
        val_fraction: Share of val, in [0, 1). Which part a frame
            belongs to depends on its index alone, not on ``num_images``; the
            first frame is val unless the share is 0.

    Raises:
        UserError: An argument is out of range.
    """

    num_images: int
    seed: int
    size: tuple[int, int]
    val_fraction: float

    def __post_init__(self) -> None:
        if self.num_images < 1:
            raise UserError(
                f'{self.num_images} images cannot be rendered: give a number '
                'of at least 1'
            )
        if self.seed < 0:
            raise UserError(
                f'seed {self.seed} is not allowed: give 0 or a positive number'
            )
        if not 0 <= self.val_fraction < 1:
            raise UserError(
                f'a val fraction of {self.val_fraction} is not allowed: give '
                'a number from 0 (no val images) up to, but not including, 1'
            )
        Camera.for_size(*self.size)

    def part(self, index: int) -> str:
        """Return 'train' or 'val'."""
        return 'val' if self._before(index + 1) > self._before(index) else (
            'train'
        )  # fmt: skip

    def val_rank(self, index: int) -> int:
        """Count the val frames before frame ``index``."""
        return self._before(index)

    def _before(self, index: int) -> int:
        return math.ceil(round(index * self.val_fraction, 9))

    def frames(
        self, profile: Profile, progress: bool
    ) -> Iterator[tuple[int, Frame]]:
        """Render the frames one after another, with their index."""
        camera = Camera.for_size(*self.size)
        indices = range(self.num_images)
        for index in tqdm(
            indices, 'Render', disable=None if progress else True
        ):
            yield index, render(self.seed, index, camera, profile)


@contextmanager
def stage_folder(
    out_dir: str | os.PathLike, form: str, series: Series, overwrite: bool
) -> Iterator[Path]:
    """Make a folder that takes the name ``out_dir`` once it is complete.

    Args:
        out_dir: Where the data set is to be.
        form: Name of the layout, for the receipt.
        series: What is rendered, for the receipt.
        overwrite: Replace a data set that was written by this
            function. Folders with other content are never replaced.

    Yields:
        The folder to write to; it is removed if an error comes up.

    Raises:
        UserError: ``out_dir`` is taken or cannot be written.
    """
    target = Path(out_dir).absolute()
    _check_free(target, overwrite)
    work = target.with_name(f'.{target.name}.partial-{os.getpid()}')
    try:
        work.mkdir(parents=True)
        yield work
        receipt = dict(format=form, **asdict(series))
        (work / RECEIPT).write_text(json.dumps(receipt) + '\n')
        _swap_in(work, target)
    except OSError as error:
        raise UserError(
            f'cannot write {out_dir}: {error.strerror or error}'
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_free(target: Path, overwrite: bool) -> None:
    if target.exists() and not target.is_dir():
        raise UserError(f'{target} is a file: give the name of a folder')
    if not target.is_dir() or not any(target.iterdir()):
        return
    if not overwrite:
        raise UserError(
            f'{target} exists and is not empty: give another folder, or '
            'replace it with --overwrite'
        )
    if not (target / RECEIPT).is_file():
        raise UserError(
            f'{target} was not written by this tool (it has no {RECEIPT}) and '
            'is not replaced: remove it yourself or give another folder'
        )


def _swap_in(work: Path, target: Path) -> None:
    if target.exists():
        old = target.with_name(f'.{target.name}.old-{os.getpid()}')
        target.rename(old)
        work.rename(target)
        shutil.rmtree(old)
    else:
        work.rename(target)


def save_image(path: Path, image: np.ndarray) -> None:
    """Write a BGR or single-channel image as its suffix says.

    JPEG with quality 92; PNG with OpenCV's defaults, which are its fastest.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    options = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == '.jpg' else []
    _, data = cv2.imencode(path.suffix, image, options)
    path.write_bytes(data.tobytes())
