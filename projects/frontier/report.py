"""Tables and pictures of what was measured."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from frontier.published import (
    ADE20K,
    COCO,
    DETECTION,
    RETINANET,
    SEGMENTATION,
    Published,
    figures_of,
)
from frontier.sweep import REFERENCE, RUNTIMES, Row, title_of

from lvt_dense.utils.files import write_atomically

TITLES = dict(eager='PyTorch', onnxruntime='ONNX Runtime', openvino='OpenVINO')


def pareto_front(
    points: Sequence[tuple[float, float]],
) -> list[tuple[float, float]]:
    """Find the points that no other one beats.

    Args:
        points: Cost, of which less is better, and gain, of which more is.

    Returns:
        The front, by rising cost.
    """
    front: list[tuple[float, float]] = []
    for cost, gain in sorted(points, key=lambda p: (p[0], -p[1])):
        if not front or gain > front[-1][1]:
            front.append((cost, gain))
    return front


def make_table(rows: Sequence[Row]) -> str:
    """Write the rows of one size as a Markdown table, the fastest first."""
    head = [
        'backbone',
        'parameters (M)',
        'GMACs',
        *(f'{TITLES[mode]} (ms)' for mode in RUNTIMES),
        f'fastest / that of `{REFERENCE}`',
        'detection*',
        'segmentation*',
    ]
    lines = [
        f'| {" | ".join(head)} |',
        '| --- |' + ' ---: |' * (len(head) - 3) + ' --- | --- |',
    ]
    for row in sorted(rows, key=relative):
        name = row['name']
        cells = [
            f'`{name}`' if row['is_ours'] else f'timm `{name}`',
            f'{row["parameters"] / 1e6:.2f}',
            f'{row["macs"] / 1e9:.2f}',
            *(_milliseconds(row, mode) for mode in RUNTIMES),
            f'{relative(row):.2f}',
            _join(figures_of(name, DETECTION)),
            _join(figures_of(name, SEGMENTATION)),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def relative(row: Row) -> float:
    """Return the latency over the reference's, in the fastest runtime.

    Both were measured in turn, so that a busier machine changes neither
    tables nor pictures.
    """
    mode = min((m for m in RUNTIMES if m in row), key=lambda m: row[m])
    return row[f'{mode}_ratio']


def _milliseconds(row: Row, mode: str) -> str:
    return f'{1000 * row[mode]:.0f}' if mode in row else 'no export'


def _join(figures: Sequence[Published]) -> str:
    return '; '.join(f'{f.value} {f.head}, {f.dataset}' for f in figures)


def make_sources(rows: Sequence[Row]) -> str:
    """List where the published figures stand, by backbone."""
    sources: dict[str, list[str]] = {}
    for name in dict.fromkeys(row['name'] for row in rows):
        for figure in figures_of(name, DETECTION + SEGMENTATION):
            entry = f'`{name}` {figure.head}'
            sources.setdefault(figure.source, []).append(entry)
    return '\n'.join(f'- {k}: {", ".join(v)}' for k, v in sources.items())


def write_report(rows: Sequence[Row], folder: Path) -> None:
    """Write ``table.md`` and a picture for every question and size.

    Args:
        rows: What was measured.
        folder: Where the files go.
    """
    sizes = sorted({tuple(row['size']) for row in rows})
    parts = [
        '<!-- written by run.py -->',
        '\\* published by the authors with their own training, not '
        'reproduced; box mAP on COCO, mIoU elsewhere. The sources follow '
        'the tables.',
    ]
    for size in sizes:
        some = [row for row in rows if tuple(row['size']) == size]
        parts += [f'## {title_of(size)}', make_table(some)]
        _draw_macs(some, size, folder)
        _draw_published(some, size, folder, COCO, RETINANET)
        _draw_published(some, size, folder, ADE20K, None)
    parts += ['## Sources', make_sources(rows)]
    write_atomically(folder / 'table.md', '\n\n'.join(parts) + '\n')


def _latency_label(size: tuple) -> str:
    return (
        f'latency of the backbone at {title_of(size)}, fastest of three '
        f'runtimes, over that of {REFERENCE}'
    )


def _draw_macs(rows: Sequence[Row], size: tuple, folder: Path) -> None:
    points = [
        (row['name'], row['is_ours'], relative(row), row['macs'] / 1e9)
        for row in rows
    ]
    _draw(
        points,
        folder / f'macs_{title_of(size)}.png',
        _latency_label(size),
        'GMACs',
        front=False,
    )


def _draw_published(
    rows: Sequence[Row],
    size: tuple,
    folder: Path,
    dataset: str,
    head: str | None,
) -> None:
    points = [
        (
            row['name'] if head else f'{row["name"]} ({figure.head})',
            row['is_ours'],
            relative(row),
            figure.value,
        )
        for row in rows
        for figure in figures_of(row['name'], (dataset,))
        if head in (None, figure.head)
    ]
    if len(points) < 2:
        return
    measure = 'mAP' if dataset in DETECTION else 'mIoU'
    _draw(
        points,
        folder / f'{dataset.lower()}_{title_of(size)}.png',
        _latency_label(size),
        f'published {measure} on {dataset}, {head or "any head"}',
        front=True,
    )


def _draw(
    points: Sequence[tuple[str, bool, float, float]],
    path: Path,
    x_label: str,
    y_label: str,
    front: bool,
) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout='constrained')
    FigureCanvasAgg(figure)
    axes: Any = figure.subplots()
    for is_ours, color, label in (
        (True, 'tab:blue', 'lvt_dense'),
        (False, 'tab:orange', 'timm'),
    ):
        some = [p for p in points if p[1] is is_ours]
        axes.scatter(
            [p[2] for p in some],
            [p[3] for p in some],
            color=color,
            label=label,
            zorder=2,
        )
    for name, _, x, y in points:
        axes.annotate(
            name, (x, y), (4, 3), textcoords='offset points', fontsize=7
        )
    if front:
        line = pareto_front([(p[2], p[3]) for p in points])
        axes.step(*zip(*line), where='post', color='gray', zorder=1)
    axes.set_xscale('log')
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter('{x:g}')
    axes.margins(x=0.12)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.3)
    axes.legend(loc='lower right')
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=100)
    write_atomically(path, content.getvalue())
