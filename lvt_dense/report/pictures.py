"""Pictures of the page: whole images and crops, as data URIs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps
from pycocotools import mask as coco_mask

from lvt_dense.analysis.records import Objects

Color = tuple[int, int, int]

LONGEST = 448  # pixels of a picture
CROP = 128
_CONTEXT = 0.4  # of a crop around its box
# RGB
RIGHT: Color = (64, 220, 90)
WRONG: Color = (255, 72, 72)
TRUTH: Color = (80, 190, 255)
MISSED: Color = (255, 170, 40)
IGNORED: Color = (160, 160, 160)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def read_upright(path: str) -> np.ndarray | None:
    """Read an image (H, W, 3), RGB, upright; None if that is impossible."""
    if not path or not Path(path).is_file():
        return None
    try:
        with Image.open(path) as file:
            return np.asarray(ImageOps.exif_transpose(file).convert('RGB'))
    except (OSError, ValueError):
        return None


def to_uri(picture: np.ndarray, quality: int = 72) -> str:
    """Encode a picture (H, W, 3), RGB, as a data URI of WebP."""
    content = io.BytesIO()
    Image.fromarray(picture).save(content, 'WEBP', quality=quality, method=4)
    text = base64.b64encode(content.getvalue()).decode()
    return f'data:image/webp;base64,{text}'


def shrink(
    image: np.ndarray, longest: int = LONGEST
) -> tuple[np.ndarray, float]:
    """Reduce an image to a longest side; return the factor as well."""
    factor = min(1.0, longest / max(image.shape[:2]))
    size = [max(1, round(side * factor)) for side in image.shape[1::-1]]
    if factor < 1:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(image), factor


@dataclass
class Mark:
    """A box on a picture.

    Attributes:
        box: x, y, width and height in pixels of the original image.
        color: RGB.
        text: Written at the box.
        mask: Run-length code of the original image, if there is one.
    """

    box: np.ndarray
    color: Color
    text: str = ''
    mask: bytes | None = None


def marks_of(
    objects: Objects,
    rows: Sequence[int] | np.ndarray,
    colors: Sequence[Color],
    classes: Sequence[str],
    with_scores: bool = False,
) -> list[Mark]:
    """Turn objects into marks.

    Args:
        objects: Truths or detections.
        rows: Which of them.
        colors: A color for each row.
        classes: Names of the classes.
        with_scores: Write the scores, too.
    """
    marks = []
    for row, color in zip(rows, colors):
        text = classes[objects.labels[row]]
        if with_scores:
            text += f' {objects.scores[row]:.2f}'
        code = objects.masks[row] if objects.masks else None
        marks.append(Mark(objects.boxes[row], color, text, code))
    return marks


def draw_marks(image: np.ndarray, marks: Sequence[Mark]) -> np.ndarray:
    """Draw boxes and masks on a reduced copy of an image (H, W, 3)."""
    canvas, factor = shrink(image)
    canvas = canvas.copy()
    for mark in marks:
        if mark.mask is not None:
            _tint(canvas, mark, image.shape[:2])
    for mark in marks:
        low = np.round(mark.box[:2] * factor).astype(int)
        high = np.round((mark.box[:2] + mark.box[2:]) * factor).astype(int)
        cv2.rectangle(canvas, low.tolist(), high.tolist(), mark.color, 1)
        if mark.text:
            _write(canvas, mark.text, low.tolist(), mark.color)
    return canvas


def _tint(canvas: np.ndarray, mark: Mark, size: tuple[int, int]) -> None:
    code = dict(size=list(size), counts=mark.mask)
    mask = cv2.resize(
        coco_mask.decode(code),
        canvas.shape[1::-1],
        interpolation=cv2.INTER_NEAREST,
    ).astype(bool)
    mixed = 0.55 * canvas[mask] + 0.45 * np.array(mark.color)
    canvas[mask] = mixed.astype(np.uint8)


def _write(
    canvas: np.ndarray, text: str, corner: Sequence[int], color: Color
) -> None:
    (width, height), base = cv2.getTextSize(text, _FONT, 0.36, 1)
    left = int(np.clip(corner[0], 0, max(canvas.shape[1] - width - 2, 0)))
    top = int(max(corner[1] - height - base - 2, 0))
    cv2.rectangle(
        canvas, (left, top), (left + width + 2, top + height + base), color, -1
    )
    cv2.putText(
        canvas,
        text,
        (left + 1, top + height + 1),
        _FONT,
        0.36,
        (0, 0, 0),
        1,
        cv2.LINE_AA,
    )


def crop(image: np.ndarray, mark: Mark) -> np.ndarray:
    """Cut out a box with what is around it, and draw the box."""
    height, width = image.shape[:2]
    center = mark.box[:2] + mark.box[2:] / 2
    half = max(float(mark.box[2:].max()) * (0.5 + _CONTEXT), 12.0)
    low = np.floor(center - half).clip(0, (width - 1, height - 1)).astype(int)
    high = np.ceil(center + half).clip(low + 1, (width, height)).astype(int)
    part = image[low[1] : high[1], low[0] : high[0]]
    factor = CROP / max(part.shape[:2])
    size = [max(1, round(side * factor)) for side in part.shape[1::-1]]
    way = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    canvas = np.ascontiguousarray(cv2.resize(part, size, interpolation=way))
    corners = [
        np.round((mark.box[:2] - low) * factor).astype(int).tolist(),
        np.round((mark.box[:2] + mark.box[2:] - low) * factor)
        .astype(int)
        .tolist(),
    ]
    cv2.rectangle(canvas, *corners, mark.color, 1)
    return canvas
