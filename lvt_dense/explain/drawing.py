"""Grids of heat maps over an image, as a picture."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

_OPACITY = 0.55


@dataclass
class Panel:
    """A cell of the grid.

    Attributes:
        title: Written above.
        heat: (h, w); None shows the image alone.
        box: x1, y1, x2, y2 in pixels of the image.
        point: x and y in pixels of the image.
        is_overlay: Whether the map lies over the image, or stands alone.
    """

    title: str
    heat: Tensor | None = None
    box: Sequence[float] | None = None
    point: Sequence[float] | None = None
    is_overlay: bool = True


def draw_grid(
    image: np.ndarray | None, rows: Sequence[tuple[str, Sequence[Panel]]]
) -> bytes:
    """Draw rows of panels.

    Args:
        image: (H, W, 3), RGB; None where no panel needs it.
        rows: A name and the panels of each.

    Returns:
        A PNG file.
    """
    columns = max(len(panels) for _, panels in rows)
    ratio = image.shape[0] / image.shape[1] if image is not None else 1.0
    sheet = Figure(
        figsize=(3.2 * columns, (3.2 * ratio + 0.5) * len(rows)),
        layout='constrained',
    )
    FigureCanvasAgg(sheet)
    grid = sheet.subplots(len(rows), columns, squeeze=False)
    for (name, panels), line in zip(rows, grid):
        for axes in line[len(panels) :]:
            axes.axis('off')
        for axes, panel in zip(line, panels):
            _draw(axes, image, panel)
        line[0].set_ylabel(name)
    content = io.BytesIO()
    sheet.savefig(content, format='png', dpi=110)
    return content.getvalue()


def _draw(axes: object, image: np.ndarray | None, panel: Panel) -> None:
    axes.set(xticks=[], yticks=[])  # type: ignore[attr-defined]
    axes.set_title(panel.title, fontsize=9)  # type: ignore[attr-defined]
    show = axes.imshow  # type: ignore[attr-defined]
    if image is not None and panel.is_overlay:
        show(image)
    if panel.heat is not None:
        heat = panel.heat.detach().float().numpy()
        if not panel.is_overlay:
            show(heat, cmap='inferno')
            return
        assert image is not None
        large = cv2.resize(heat, image.shape[1::-1])
        show(large, cmap='inferno', alpha=_OPACITY)
    if panel.box is not None:
        x1, y1, x2, y2 = panel.box
        xs, ys = (x1, x2, x2, x1, x1), (y1, y1, y2, y2, y1)
        axes.plot(xs, ys, color='cyan', linewidth=1.5)  # type: ignore[attr-defined]
    if panel.point is not None:
        axes.plot(  # type: ignore[attr-defined]
            *panel.point, 'x', color='cyan', markersize=9, mew=2
        )
