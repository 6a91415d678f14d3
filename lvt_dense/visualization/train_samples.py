"""Draw training images after each step of the pipeline."""

import textwrap
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from .kitti_visualizer import Mono3DVisualizer
from .seg_drawing import default_palette, overlay

IGNORED = (150, 150, 150)
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_OPACITY = 0.5
_STRIP = 16  # pixels of a line of text


def draw_train_sample(
    image: np.ndarray,
    sample: Any,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]] = (),
) -> np.ndarray:
    """Draw the labels of a sample on the image that the network gets.

    Boxes and masks are in the colors of their classes, what is ignored is
    gray; label maps lie over the image, and where they say to ignore a pixel
    it stays as it is; boxes in space are drawn as in predictions.

    Args:
        image: (H, W, 3), RGB, uint8.
        sample: Data sample of any task, in the frame of the image.
        classes: Names of the classes.
        palette: Their RGB colors; by default those that mmseg generates.

    Returns:
        The picture, RGB.
    """
    colors = palette or default_palette(len(classes))
    if 'gt_instances_3d' in sample:
        return _draw_in_space(image, sample, classes)
    if 'gt_sem_seg' in sample:
        labels = sample.gt_sem_seg.data.squeeze(0).cpu().numpy()
        return overlay(image, labels, colors, _OPACITY)
    canvas = np.ascontiguousarray(image)
    for name in ('ignored_instances', 'gt_instances'):
        if name in sample:
            ignored = name == 'ignored_instances'
            _draw_instances(
                canvas, getattr(sample, name), classes, colors, ignored
            )
    return canvas


def _draw_in_space(
    image: np.ndarray, sample: Any, classes: Sequence[str]
) -> np.ndarray:
    visualizer = Mono3DVisualizer('train_samples')
    visualizer.dataset_meta = dict(classes=classes)
    visualizer.add_datasample('', image, sample, draw_pred=False)
    return visualizer.get_image()


def _draw_instances(
    canvas: np.ndarray,
    instances: Any,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    ignored: bool,
) -> None:
    labels = instances.labels.tolist()
    colors = [
        IGNORED if ignored else tuple(int(v) for v in palette[i])
        for i in labels
    ]
    if 'masks' in instances:
        for mask, color in zip(instances.masks.to_ndarray(), colors):
            inside = mask.astype(bool)
            mixed = 0.5 * canvas[inside] + 0.5 * np.array(color)
            canvas[inside] = mixed.astype(np.uint8)
    boxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
    for box, label, color in zip(boxes.cpu().numpy(), labels, colors):
        corners = np.round(box).astype(int).tolist()
        cv2.rectangle(canvas, corners[:2], corners[2:], color, 2)
        text = 'ignored' if ignored else classes[label]
        place = (corners[0] + 2, max(corners[1] + 12, 12))
        for width, tone in ((3, (0, 0, 0)), (1, (255, 255, 255))):
            cv2.putText(
                canvas, text, place, _FONT, 0.4, tone, width, cv2.LINE_AA
            )


def caption(picture: np.ndarray, lines: Sequence[str]) -> np.ndarray:
    """Write lines of text below a picture; what is too long is wrapped."""
    most = max(picture.shape[1] // 8, 10)
    wrapped = [part for line in lines for part in textwrap.wrap(line, most)]
    height = _STRIP * len(wrapped) + 4
    strip = np.full((height, picture.shape[1], 3), 255, np.uint8)
    for i, line in enumerate(wrapped):
        place = (3, _STRIP * i + 13)
        cv2.putText(strip, line, place, _FONT, 0.38, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([picture, strip])


def make_sheet(
    pictures: Sequence[np.ndarray],
    texts: Sequence[Sequence[str]],
    columns: int = 4,
    width: int = 360,
) -> np.ndarray:
    """Lay out pictures as a contact sheet.

    Args:
        pictures: RGB, of any sizes.
        texts: Lines below each.
        columns: Pictures in a row.
        width: Width of each in pixels.
    """
    scaled = []
    for picture, lines in zip(pictures, texts):
        factor = width / picture.shape[1]
        height = max(1, round(picture.shape[0] * factor))
        way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
        small = cv2.resize(picture, (width, height), interpolation=way)
        scaled.append(caption(small, lines))
    rows = []
    for start in range(0, len(scaled), columns):
        row = scaled[start : start + columns]
        height = max(len(p) for p in row) + 8
        cells = np.full((height, columns * (width + 8), 3), 255, np.uint8)
        for i, picture in enumerate(row):
            left = i * (width + 8)
            cells[: len(picture), left : left + width] = picture
        rows.append(cells)
    return np.concatenate(rows)
