"""Boxes and masks over images, with OpenCV: milliseconds an image.

Every picture is (H, W, 3), RGB, uint8.
"""

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
OPACITY = 0.45  # of the color of a mask
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
# Share of red, green and blue in what the eye sees as brightness (Rec. 601).
_LUMA = np.array([0.299, 0.587, 0.114])
_BRIGHT = 128  # brightness from which on text is black


def draw_boxes(
    image: np.ndarray,
    boxes: np.ndarray,
    texts: Sequence[str],
    colors: Sequence[Color],
) -> np.ndarray:
    """Draw boxes, each with a text on a field of its color.

    Args:
        image: The image; it stays as it is.
        boxes: (N, 4), x1, y1, x2, y2 in pixels.
        texts: Text of each box; empty for none.
        colors: Color of each box, RGB.

    Returns:
        The picture; later boxes lie over earlier ones.
    """
    picture = np.ascontiguousarray(image).copy()
    thickness, size = scale_of(picture)
    for box, text, color in zip(boxes.round().astype(int), texts, colors):
        x1, y1, x2, y2 = map(int, box)
        cv2.rectangle(picture, (x1, y1), (x2, y2), color, thickness)
        if text:
            _put_text(picture, text, (x1, y1), color, size)
    return picture


def draw_masks(
    image: np.ndarray, masks: np.ndarray, colors: Sequence[Color]
) -> np.ndarray:
    """Tint the pixels of objects, and draw their outlines.

    Args:
        image: The image; it stays as it is.
        masks: (N, H, W), not 0 inside of an object.
        colors: Color of each object, RGB.
    """
    picture = np.ascontiguousarray(image).copy()
    for mask, color in zip(masks, colors):
        where = np.ascontiguousarray(mask, np.uint8)
        x, y, w, h = cv2.boundingRect(where)
        if not w:
            continue
        part = picture[y : y + h, x : x + w]
        inside = where[y : y + h, x : x + w] > 0
        tint = (1 - OPACITY) * part[inside] + OPACITY * np.array(color)
        part[inside] = tint.astype(np.uint8)
        outlines, _ = cv2.findContours(
            where, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
        )
        cv2.drawContours(picture, outlines, -1, color, 1)
    return picture


def scale_of(image: np.ndarray) -> tuple[int, int]:
    """Choose the thickness of lines and the height of text, in pixels."""
    side = max(image.shape[:2])
    return max(side // 500, 1), int(np.clip(side // 50, 11, 40))


def text_color(background: Color) -> Color:
    """Choose black or white, whichever can be read on a color."""
    brightness = float(_LUMA @ np.array(background))
    return _BLACK if brightness >= _BRIGHT else _WHITE


def _put_text(
    picture: np.ndarray,
    text: str,
    corner: tuple[int, int],
    color: Color,
    size: int,
) -> None:
    """Write a text above a corner, or below it at the upper edge."""
    ink = _render(text, size)
    height, width = ink.shape
    rows, columns = picture.shape[:2]
    left = int(np.clip(corner[0], 0, max(columns - width, 0)))
    top = corner[1] - height if corner[1] >= height else corner[1]
    top = int(np.clip(top, 0, max(rows - height, 0)))
    part = picture[top : top + height, left : left + width]
    weight = ink[: len(part), : part.shape[1], None]
    front, back = np.array(text_color(color)), np.array(color)
    part[:] = (weight * front + (1 - weight) * back).astype(np.uint8)


@lru_cache(maxsize=4096)
def _render(text: str, size: int) -> np.ndarray:
    """Render a text: the share of ink (H, W) in [0, 1], float32."""
    font = ImageFont.load_default(size)
    left, _, right, _ = font.getbbox(text)
    ascent, descent = font.getmetrics()  # type: ignore[union-attr]
    shape = int(right - left) + 4, ascent + descent + 2
    canvas = Image.new('L', shape)
    ImageDraw.Draw(canvas).text((2 - left, 1), text, fill=255, font=font)
    return np.asarray(canvas, np.float32) / 255
