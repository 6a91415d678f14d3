"""Pictures that are written whole or not at all."""

import io
from pathlib import Path
from typing import Any

from lvt_dense.utils.files import write_atomically


def save_figure(figure: Any, out: str | Path) -> None:
    """Write a figure of Matplotlib as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure)
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=110)
    write_atomically(out, content.getvalue())
