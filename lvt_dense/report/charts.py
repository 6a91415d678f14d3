"""Charts as inline SVG, in the colors of the page."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 12, 44
NUM_COLORS = 8  # --c0 to --c7 of the style sheet
# Most classes that a matrix shows.
MAX_CLASSES = 150


@dataclass
class Series:
    """A line of a chart.

    Attributes:
        name: Its name in the legend.
        xs: Positions, ascending.
        ys: Values; NaN leaves a gap.
        is_dashed: Draw it dashed.
        has_dots: Mark every point.
    """

    name: str
    xs: Sequence[float]
    ys: Sequence[float]
    is_dashed: bool = False
    has_dots: bool = False


@dataclass
class _Axis:
    """A linear scale from values to pixels."""

    low: float
    high: float
    start: float
    stop: float

    def place(self, value: float) -> float:
        share = (value - self.low) / ((self.high - self.low) or 1.0)
        return self.start + share * (self.stop - self.start)

    def ticks(self) -> list[float]:
        """Return about five round values."""
        span = (self.high - self.low) or 1.0
        step = 10 ** math.floor(math.log10(span / 5))
        step *= min((1, 2, 5, 10), key=lambda f: abs(span / (f * step) - 5))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [i * step for i in range(first, last + 1)]


def line_chart(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    x_range: tuple[float, float] | None = None,
    y_range: tuple[float, float] | None = None,
    marks: Sequence[tuple[float, str]] = (),
) -> str:
    """Draw lines.

    Args:
        series: The lines; the legend names them.
        x_label: What the positions are.
        y_label: What the values are.
        x_range: Ends of the axis; by default those of the positions.
        y_range: Ends of the axis; by default 0, or less, to the largest value.
        marks: Positions of vertical lines, with their names.
    """
    xs = [x for s in series for x in s.xs]
    ys = [y for s in series for y in s.ys if np.isfinite(y)]
    left, right = x_range or (min(xs, default=0), max(xs, default=1))
    low, high = y_range or (min([0.0, *ys]), max(ys, default=1.0) or 1.0)
    x = _Axis(left, right, _LEFT, _WIDTH - _RIGHT)
    y = _Axis(low, high, _HEIGHT - _BOTTOM, _TOP)
    parts = [_frame(x, y, x_label, y_label)]
    for place, name in marks:
        at = x.place(place)
        parts.append(
            f'<line class="mark" x1="{at:.1f}" x2="{at:.1f}" y1="{_TOP}" '
            f'y2="{_HEIGHT - _BOTTOM}"><title>{escape(name)}</title></line>'
        )
    parts += [_line(s, i, x, y) for i, s in enumerate(series)]
    label = f'{y_label} over {x_label}'
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
        + _legend([s.name for s in series])
    )


def _frame(x: _Axis, y: _Axis, x_label: str, y_label: str) -> str:
    bottom, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = []
    for value in y.ticks():
        at = y.place(value)
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{right}" y1="{at:.1f}" '
            f'y2="{at:.1f}"/><text x="{_LEFT - 6}" y="{at + 4:.1f}" '
            f'text-anchor="end">{value:.4g}</text>'
        )
    for value in x.ticks():
        parts.append(
            f'<text x="{x.place(value):.1f}" y="{bottom + 16}" '
            f'text-anchor="middle">{value:.6g}</text>'
        )
    middle = (_TOP + bottom) / 2
    parts.append(
        f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 8}" '
        f'text-anchor="middle">{escape(x_label)}</text>'
        f'<text transform="rotate(-90 12 {middle})" x="12" y="{middle}" '
        f'text-anchor="middle">{escape(y_label)}</text>'
    )
    return ''.join(parts)


def _line(series: Series, index: int, x: _Axis, y: _Axis) -> str:
    color = f'var(--c{index % NUM_COLORS})'
    pieces: list[list[str]] = [[]]
    dots = []
    for a, b in zip(series.xs, series.ys):
        if not np.isfinite(b):
            pieces.append([])
            continue
        point = f'{x.place(a):.1f},{y.place(b):.1f}'
        pieces[-1].append(point)
        if series.has_dots:
            left, top = point.split(',')
            dots.append(
                f'<circle cx="{left}" cy="{top}" r="3" fill="{color}"><title>'
                f'{escape(series.name)}: {b:.4g} at {a:.4g}</title></circle>'
            )
    dash = ' stroke-dasharray="5 4"' if series.is_dashed else ''
    lines = ''.join(
        f'<polyline fill="none" stroke="{color}" stroke-width="2"{dash} '
        f'points="{" ".join(piece)}"/>'
        for piece in pieces
        if len(piece) > 1
    )
    return lines + ''.join(dots)


def _legend(names: Sequence[str]) -> str:
    items = ''.join(
        f'<li><i style="background:var(--c{i % NUM_COLORS})"></i>'
        f'{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{items}</ul>'


def bars(items: Sequence[tuple[str, float, str]]) -> str:
    """Draw horizontal bars.

    Args:
        items: Name, length and what is written at the end of each bar.
    """
    longest = max((value for _, value, _ in items), default=0) or 1.0
    rows = ''.join(
        f'<div class="bar"><span>{escape(name)}</span>'
        f'<b style="width:{100 * max(value, 0) / longest:.1f}%"></b>'
        f'<span>{escape(text)}</span></div>'
        for name, value, text in items
    )
    return f'<div class="bars">{rows}</div>'


def matrix(
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    unit: str = '',
    digits: int = 0,
) -> str:
    """Draw a matrix as colored cells.

    Args:
        values: (R, C), 0 or more; the color is relative to the largest one.
        rows: Names of the rows.
        columns: Names of the columns.
        unit: Unit of the values, in the text of each cell.
        digits: Decimals.
    """
    count = max(len(rows), len(columns))
    cell = 34 if count <= 15 else 18 if count <= 40 else 9
    font = 11 if count <= 40 else 8
    margin = 8 + min(22, max(map(len, [*rows, *columns]), default=1)) * 7
    top = float(np.nanmax(values)) if values.size else 1.0
    parts = []
    for r, c in np.argwhere(values > 0).tolist():
        value = float(values[r, c])
        left, upper = margin + c * cell, margin + r * cell
        text = f'{value:.{digits}f}{unit}'
        share = value / (top or 1.0)
        parts.append(
            f'<rect x="{left}" y="{upper}" width="{cell - 1}" height='
            f'"{cell - 1}" fill-opacity="{0.08 + 0.92 * share:.2f}"><title>'
            f'{escape(rows[r])} → {escape(columns[c])}: {text}</title></rect>'
        )
        if cell >= 34:
            tone = 'on' if share > 0.5 else 'off'
            parts.append(
                f'<text class="{tone}" x="{left + cell / 2}" '
                f'y="{upper + cell / 2 + 4}" text-anchor="middle">'
                f'{_short(value, digits)}</text>'
            )
    for r, name in enumerate(rows):
        parts.append(
            f'<text x="{margin - 5}" y="{margin + (r + 0.5) * cell + 4}" '
            f'text-anchor="end">{escape(name[:22])}</text>'
        )
    for c, name in enumerate(columns):
        at = margin + (c + 0.5) * cell + 4
        parts.append(
            f'<text transform="rotate(-90 {at} {margin - 5})" x="{at}" '
            f'y="{margin - 5}">{escape(name[:22])}</text>'
        )
    width = margin + len(columns) * cell + 4
    height = margin + len(rows) * cell + 4
    return (
        f'<div class="scroll"><svg class="matrix" width="{width}" '
        f'height="{height}" style="font-size:{font}px" role="img" '
        f'aria-label="matrix">{"".join(parts)}</svg></div>'
    )


def _short(value: float, digits: int) -> str:
    if digits == 0 and value >= 10000:
        return f'{value / 1e6:.1f}M' if value >= 1e6 else f'{value / 1e3:.0f}k'
    return f'{value:.{digits}f}'
