"""The formats that have a file for each image, and the video.

They are written as the images come; those of :mod:`.records` at the end.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .choices import FORMATS, MAX_DRAWN
from .detection import Detection
from .errors import InputError
from .files import save_picture, write_text
from .pictures import Picture
from .predictor import Found, Predictor
from .sessions import require

_DRAWN = 4096  # longest side of the drawing of a large picture
_CLEAR = 255  # label of pixels that --classes leaves out


def check_formats(formats: Sequence[str], task: str) -> None:
    """Check that formats exist and hold what a model finds.

    Raises:
        InputError: One does not.
    """
    for name in formats:
        if name not in FORMATS:
            raise InputError(
                f'--format {name}: choose from {", ".join(FORMATS)}'
            )
        if task not in FORMATS[name]:
            fitting = [f for f, tasks in FORMATS.items() if task in tasks]
            raise InputError(
                f'--format {name} cannot hold what a model for {task} finds: '
                f'choose from {", ".join(fitting)}'
            )


class ImageSinks:
    """Files of single images, and the video of all.

    Args:
        out: Folder of the results.
        formats: Names of the formats.
        predictor: The model, which draws.
        rate: Frames a second of the video.
        name: Name of the video.
        max_drawn: Number of objects that are drawn in an image.
    """

    def __init__(
        self,
        out: Path,
        formats: Sequence[str],
        predictor: Predictor,
        rate: float | None = None,
        name: str = '',
        max_drawn: int = MAX_DRAWN,
    ) -> None:
        self.out = out
        self.max_drawn = max_drawn
        self.formats = formats
        self.predictor = predictor
        self.video: VideoWriter | None = None
        if 'video' in formats:
            if rate is None:
                raise InputError(
                    '--format video needs a video, a camera or a stream'
                )
            path = out / Path(name).with_suffix('.mp4').name
            self.video = VideoWriter(path, rate)

    def write(
        self,
        name: Path,
        picture: Picture,
        found: Found,
        camera: np.ndarray | None,
    ) -> str | None:
        """Write all files of one image.

        Args:
            name: Path of the image in its source.
            picture: The image.
            found: What was found in it.
            camera: Its projection matrix.

        Returns:
            Path of the picture with the drawing, if there is one.
        """
        out, drawn = self.out, None
        if 'pictures' in self.formats:
            target = out / name.with_name(f'{name.name}.png')
            save_picture(self._draw(picture, found, camera), target)
            drawn = str(target)
        if 'label-maps' in self.formats:
            target = out / 'label_maps' / name.with_name(f'{name.name}.png')
            save_picture(self._label_map(found), target)
        for kind, lines_of in (('yolo', yolo_lines), ('kitti', kitti_lines)):
            if kind in self.formats:
                lines = lines_of(found, picture.shape)
                text = ''.join(f'{line}\n' for line in lines)
                write_text(out / kind / name.with_suffix('.txt'), text)
        if 'crops' in self.formats:
            self._write_crops(name, picture, found)
        return drawn

    def add_to_video(
        self, picture: Picture, found: Found, camera: np.ndarray | None
    ) -> None:
        """Write one frame; frames have to come in their order."""
        if self.video is not None:
            drawn = self._draw(picture, found, camera)
            self.video.write(np.asarray(drawn))

    def close(self, complete: bool) -> None:
        """Finish the video, or remove what there is of it."""
        if self.video is not None:
            self.video.close(complete)

    def _draw(
        self, picture: Picture, found: Found, camera: np.ndarray | None
    ) -> Image.Image:
        if not picture.is_large:
            array = picture.read_rows(0, picture.shape[0])
            return self.predictor.draw(array, found, camera, self.max_drawn)
        step = -(-max(picture.shape) // _DRAWN)
        small = picture.shrink(step)
        if isinstance(found, np.ndarray):
            found = found[::step, ::step][: small.shape[0], : small.shape[1]]
        else:
            found = [
                Detection(f.label, f.index, f.score, f.box / step)
                for f in found
            ]
        return self.predictor.draw(small, found, None, self.max_drawn)

    def _label_map(self, found: Found) -> Image.Image:
        assert isinstance(found, np.ndarray)
        if found.dtype != np.uint8:
            return Image.fromarray(found.astype(np.uint16))
        image = Image.fromarray(found, 'P')
        colors = np.zeros((256, 3), np.uint8)
        palette = self.predictor.palette[:256]
        colors[: len(palette)] = palette
        image.putpalette(colors.tobytes())
        return image

    def _write_crops(self, name: Path, picture: Picture, found: Found) -> None:
        for number, item in enumerate(found):
            folder = ''.join(
                c if c.isalnum() or c in '-_ ' else '_' for c in item.label
            )
            target = self.out / 'crops' / folder / name.parent
            crop = np.ascontiguousarray(picture.read_box(item.box))
            save_picture(
                Image.fromarray(crop), target / f'{name.name}.{number}.png'
            )


class VideoWriter:
    """An MP4 file, which appears when it is complete.

    Args:
        path: The file.
        rate: Frames a second.
    """

    def __init__(self, path: Path, rate: float) -> None:
        self.path = path
        self._rate = rate
        self._cv2 = require('cv2', path, 'opencv-python')
        self._partial = path.with_name(f'{path.stem}.partial{path.suffix}')
        self._writer: Any = None

    def write(self, frame: np.ndarray) -> None:
        """Write a frame, (H, W, 3) uint8 in RGB.

        Raises:
            InputError: OpenCV cannot write such a video.
        """
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            codec = self._cv2.VideoWriter_fourcc(*'mp4v')
            size = frame.shape[1], frame.shape[0]
            self._writer = self._cv2.VideoWriter(
                str(self._partial), codec, self._rate, size
            )
            if not self._writer.isOpened():
                raise InputError(f'{self.path} cannot be written by OpenCV')
        self._writer.write(np.ascontiguousarray(frame[..., ::-1]))

    def close(self, complete: bool) -> None:
        """Finish the file and give it its name, or remove it."""
        if self._writer is None:
            return
        self._writer.release()
        if complete:
            self._partial.replace(self.path)
        else:
            self._partial.unlink(missing_ok=True)


def keep_classes(found: Found, kept: set[int]) -> Found:
    """Leave out what is of other classes.

    Pixels of other classes become 255, which has no color.
    """
    if isinstance(found, np.ndarray):
        return np.where(np.isin(found, list(kept)), found, _CLEAR).astype(
            found.dtype
        )
    return [item for item in found if item.index in kept]


def yolo_lines(found: Found, shape: tuple[int, int]) -> Iterator[str]:
    """Yield lines of YOLO: class, center, size as shares, and score."""
    height, width = shape
    for item in found:
        x1, y1, x2, y2 = (float(v) for v in item.box)
        numbers = (
            (x1 + x2) / 2 / width,
            (y1 + y2) / 2 / height,
            (x2 - x1) / width,
            (y2 - y1) / height,
            item.score,
        )
        yield f'{item.index} ' + ' '.join(f'{n:.6f}' for n in numbers)


def kitti_lines(found: Found, shape: tuple[int, int]) -> Iterator[str]:
    """Yield result lines of KITTI; what is not known has its value for that.

    Class, truncation, occlusion, observation angle, box, height, width,
    length, x, y, z, yaw, and score.
    """
    for item in found:
        alpha, size, place, yaw = -10.0, [-1.0] * 3, [-1000.0] * 3, -10.0
        if item.box_3d is not None:
            x, y, z, length, height, width, yaw = map(float, item.box_3d)
            size, place = [height, width, length], [x, y, z]
            turn = yaw - np.arctan2(x, z) + np.pi
            alpha = float(turn % (2 * np.pi) - np.pi)
        numbers = [alpha, *map(float, item.box), *size, *place, yaw]
        name = item.label.replace(' ', '_')
        values = ' '.join(f'{n:.4f}' for n in [*numbers, item.score])
        yield f'{name} -1 -1 {values}'
