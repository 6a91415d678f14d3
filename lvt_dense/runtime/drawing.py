"""Predictions drawn over their images."""

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from .choices import MAX_DRAWN
from .detection import Detection
from .images import project_corners

_OPACITY = 0.5
# Corners of a 3D box that its edges join; 0 to 3 are the bottom.
_EDGES = (
    *((i + k, (i + 1) % 4 + k) for i in range(4) for k in (0, 4)),
    *((i, i + 4) for i in range(4)),
)


def draw(
    array: np.ndarray,
    found: list[Detection] | np.ndarray,
    palette: np.ndarray,
    camera: np.ndarray | None = None,
    max_drawn: int = MAX_DRAWN,
) -> Image.Image:
    """Draw a prediction over its image.

    Args:
        array: Image, (H, W, 3) uint8 in RGB.
        found: Detections, or the class of each pixel; classes without a
            color are left clear.
        palette: Color of each class, (C, 3) uint8.
        camera: Projection matrix, for 3D boxes.
        max_drawn: Number of objects that are drawn, the best ones.
    """
    if isinstance(found, np.ndarray):
        known = found < len(palette)
        colors = palette[np.where(known, found, 0)]
        return Image.fromarray(_blend(array, known, colors))
    found = sorted(found, key=lambda item: -item.score)[:max_drawn]
    array = array.copy()
    for item in found:
        if item.pixels is not None:
            where, color = (
                item.pixels.slices,
                palette[item.index % len(palette)],
            )
            array[where] = _blend(array[where], item.pixels.part, color)
    picture = Image.fromarray(array)
    pen = ImageDraw.Draw(picture)
    for item in reversed(found):
        color = tuple(palette[item.index % len(palette)].tolist())
        _draw_item(pen, item, color, camera)
    return picture


def _blend(array: np.ndarray, where: np.ndarray, color: Any) -> np.ndarray:
    mixed = _OPACITY * array + (1 - _OPACITY) * color
    return np.where(where[..., None], mixed, array).astype(np.uint8)


def _draw_item(pen: Any, item: Detection, color: Any, camera: Any) -> None:
    if item.box_3d is not None and camera is not None:
        corners = project_corners(item.box_3d, np.asarray(camera))
        if corners is not None:
            for i, j in _EDGES:
                pen.line([*corners[i], *corners[j]], fill=color, width=2)
    else:
        pen.rectangle([float(v) for v in item.box], outline=color, width=2)
    text = f'{item.label} {item.score:.2f}'
    x, y = float(item.box[0]) + 2, max(float(item.box[1]) - 12, 0)
    pen.rectangle(pen.textbbox((x, y), text), fill=color)
    # Black or white, whichever can be read on the color (Rec. 601).
    red, green, blue = color
    is_bright = 0.299 * red + 0.587 * green + 0.114 * blue >= 128
    pen.text((x, y), text, fill=(0, 0, 0) if is_bright else (255,) * 3)
