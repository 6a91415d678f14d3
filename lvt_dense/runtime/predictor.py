"""Predict on images with a network, whatever it runs in."""

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

import numpy as np
from PIL import Image

from .bands import color_of, read_bands
from .choices import MAX_DRAWN
from .detection import Detection
from .drawing import draw
from .errors import InputError
from .images import (
    AnyImage,
    Scale,
    fit_camera,
    prepare,
    resize_labels,
    to_array,
)
from .masks import Mask, cut_mask, sample_mask
from .sessions import Session, open_session

if TYPE_CHECKING:
    from .tiles import Tiling

# What a model finds: objects, or the class of each pixel.
Found = list[Detection] | np.ndarray
DRAWN_SCORE = 0.3  # of a model that no report was written of


@dataclass
class Prepared:
    """An image and the network's view of it.

    Attributes:
        array: The image, (H, W, 3) uint8 in RGB; of one with other bands
            what is drawn of it.
        input: Input of the network, (H', W', C) uint8.
        scale: How the one became the other.
    """

    array: np.ndarray
    input: np.ndarray
    scale: Scale


class Predictor:
    """A model that is ready to predict.

    Args:
        model: File that ``lvt-dense export`` wrote, or a network that is
            ready to run.
        threads: Threads of the runtime; 0 leaves the choice to it.

    Attributes:
        info: Metadata of the model, see :mod:`lvt_dense.deploy.metadata`.
        run: Runs the network on its inputs by name.

    Raises:
        InputError: The file is of no exported model.
    """

    def __init__(self, model: str | Path | Session, threads: int = 0) -> None:
        if not isinstance(model, Session):
            model = open_session(model, threads)
        self.run, self.info, self.name = model

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        return self.info['classes']

    @property
    def palette(self) -> np.ndarray:
        """Color of each class, (C, 3) uint8."""
        colors = self.info.get('palette') or []
        count = max(len(self.classes), 1)
        if len(colors) < count:
            colors = [
                [int(255 * v) for v in colorsys.hsv_to_rgb(i / count, 0.8, 1)]
                for i in range(count)
            ]
        return np.array(colors, np.uint8)

    def score_threshold(self, wanted: float | str | None = None) -> float:
        """Return the lowest score of a detection.

        Args:
            wanted: A number, ``'best'`` for the one that a report found, or
                None for the model's default.

        Raises:
            InputError: No report has found one.
        """
        default = float(self.info.get('score_thr', DRAWN_SCORE))
        if wanted is None:
            return default
        if wanted != 'best':
            return float(wanted)
        if default == DRAWN_SCORE:  # no report has set another
            raise InputError(
                f'{self.name} does not say which threshold is best: write a '
                'report of the model and export it again, or give a number'
            )
        return default

    def predict(
        self,
        image: AnyImage,
        camera: np.ndarray | None = None,
        score_thr: float | str | None = None,
        tiling: 'Tiling | None' = None,
    ) -> Found:
        """Predict on one image.

        Args:
            image: A file, a picture, or an array (H, W, 3) uint8 in RGB. Of
                a model of other bands, those in the order of the files.
            camera: Projection matrix of the image, (3, 4) or (4, 4), which
                monocular 3D models need: KITTI's P2.
            score_thr: Lowest score of a detection; by default the model's.
                ``'best'`` takes the one that a report found.
            tiling: Predict on tiles of the image, and merge what is found.

        Returns:
            Detections by falling score; from semantic models the class of
            each pixel, (H, W) uint8 or int32.

        Raises:
            InputError: The camera is missing or of another shape, or the
                image cannot be read.
        """
        if tiling is not None:
            from .tiles import predict_tiles

            return predict_tiles(self, image, tiling, score_thr)
        return self.predict_batch([image], [camera], score_thr)[0]

    def predict_batch(
        self,
        images: Sequence[AnyImage],
        cameras: Sequence[np.ndarray | None] | None = None,
        score_thr: float | str | None = None,
    ) -> list[Found]:
        """Predict on several images, those of one input size at once.

        Args:
            images: As in :meth:`predict`.
            cameras: Projection matrix of each.
            score_thr: Lowest score of a detection.

        Returns:
            What :meth:`predict` returns, of each image.
        """
        prepared = [self.prepare(image) for image in images]
        return self.predict_prepared(prepared, cameras, score_thr)

    def prepare(self, image: AnyImage) -> Prepared:
        """Read an image and resize it for the network."""
        pixels = self._pixels(image)
        color = pixels if pixels.shape[2] == 3 else color_of(pixels)
        return Prepared(color, *prepare(pixels, self.info))

    def _pixels(self, image: AnyImage) -> np.ndarray:
        channels = int(self.info.get('channels') or 3)
        if channels == 3:
            return to_array(image)
        return read_bands(image, channels)

    def predict_prepared(
        self,
        images: Sequence[Prepared],
        cameras: Sequence[np.ndarray | None] | None = None,
        score_thr: float | str | None = None,
    ) -> list[Found]:
        """Predict on images that :meth:`prepare` returned."""
        if self.info['task'] == 'raw':
            raise InputError(
                f"{self.name} gives its heads' maps: export it without --raw"
            )
        threshold = self.score_threshold(score_thr)
        cameras = cameras or [None] * len(images)
        found: list[Found] = [[]] * len(images)
        for group in self._group(images):
            feed = self._feed([(images[i], cameras[i]) for i in group])
            outputs = self.run(feed)
            for k, i in enumerate(group):
                one = {name: value[k] for name, value in outputs.items()}
                found[i] = self._read(one, images[i].scale, threshold)
        return found

    def _group(self, images: Sequence[Prepared]) -> list[list[int]]:
        """Put images together that the network takes at once."""
        if self.info.get('batch', 1) is not None:  # one image
            return [[i] for i in range(len(images))]
        groups: dict[tuple, list[int]] = {}
        for i, image in enumerate(images):
            groups.setdefault(image.input.shape, []).append(i)
        return list(groups.values())

    def _feed(
        self, images: Sequence[tuple[Prepared, np.ndarray | None]]
    ) -> dict[str, np.ndarray]:
        wanted = self.info.get('inputs', ())
        feed = {'image': np.stack([image.input for image, _ in images])}
        if 'size' in wanted:
            sizes = [image.scale.size for image, _ in images]
            feed['size'] = np.array(sizes, np.int64)
        if 'camera' in wanted:
            feed['camera'] = np.stack(
                [fit_camera(camera, image.scale) for image, camera in images]
            )
        return feed

    def _read(
        self, outputs: dict[str, np.ndarray], scale: Scale, threshold: float
    ) -> Found:
        if self.info['task'] == 'semantic':
            return resize_labels(outputs['labels'], scale)
        return list(self._detections(outputs, scale, threshold))

    def _detections(
        self, outputs: dict[str, np.ndarray], scale: Scale, threshold: float
    ) -> Iterator[Detection]:
        factor = np.tile(scale.factor, 2)
        for i in np.flatnonzero(outputs['scores'] >= max(threshold, 1e-6)):
            box = outputs['boxes'][i] / factor
            if 'boxes_3d' in outputs:
                # As in `fit_camera`: pixels count from their centers.
                box = box + (1 - factor) / 2 / factor
            index, score = int(outputs['labels'][i]), outputs['scores'][i]
            name = self.classes[index] if self.classes else str(index)
            found = Detection(name, index, float(score), box)
            found.pixels = _mask_of(outputs, i, box, scale)
            if 'boxes_3d' in outputs:
                found.box_3d = outputs['boxes_3d'][i]
            yield found

    def draw(
        self,
        image: AnyImage,
        found: Found,
        camera: np.ndarray | None = None,
        max_drawn: int = MAX_DRAWN,
    ) -> Image.Image:
        """Draw a prediction over its image, the best objects of it."""
        array = image if _is_color(image) else color_of(self._pixels(image))
        return draw(array, found, self.palette, camera, max_drawn)


def _is_color(image: AnyImage) -> TypeGuard[np.ndarray]:
    return isinstance(image, np.ndarray) and image.shape[-1] == 3


def _mask_of(
    outputs: dict[str, np.ndarray], i: int, box: np.ndarray, scale: Scale
) -> Mask | None:
    if 'masks' in outputs:
        return sample_mask(outputs['masks'][i], box, scale.original)
    if 'image_masks' in outputs:
        return cut_mask(resize_labels(outputs['image_masks'][i], scale))
    return None
