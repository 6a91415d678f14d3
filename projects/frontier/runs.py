"""What the comparisons of trained models share."""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lvt_dense.apis.benchmark import measure
from lvt_dense.apis.benchmark_subjects import make_subjects
from lvt_dense.apis.complexity import count_complexity
from lvt_dense.config import load_config
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

Row = dict[str, Any]


def make_parser(doc: str | None, folders: str) -> argparse.ArgumentParser:
    """Make the parser that the comparisons share.

    Args:
        doc: Description.
        folders: What the folders of ``work_dirs`` hold.
    """
    parser = argparse.ArgumentParser(description=doc)
    parser.add_argument('work_dirs', type=Path, help=folders)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=15)
    results = Path(__file__).resolve().parent / 'results'
    parser.add_argument('--out', type=Path, default=results)
    return parser


def read_metric(work_dir: Path, key: str) -> list[float]:
    """Read a metric of all validations of a run, in order.

    Args:
        work_dir: Folder of the run.
        key: Name of the metric.

    Raises:
        UserError: The run has no validation.
    """
    found = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        lines = map(json.loads, path.read_text().splitlines())
        found += [line[key] for line in lines if key in line]
    if not found:
        raise UserError(f'{work_dir}: no validation; train there first')
    return found


def measure_cost(
    configs: list[Path], size: tuple[int, int], threads: int, rounds: int
) -> list[Row]:
    """Count operations of models, and measure their latency in turn.

    Args:
        configs: Their configs.
        size: Height and width of the image.
        threads: Threads of PyTorch.
        rounds: Calls of each.

    Returns:
        ``parameters``, ``macs``, ``seconds`` and the ``ratio`` to the first
        model's seconds, a row for each.
    """
    import torch

    torch.set_num_threads(threads)
    image = torch.rand(1, 3, *size)
    rows: list[Row] = []
    subjects = []
    for config in map(str, configs):
        total = count_complexity(load_config(config), size)[0]
        rows.append(dict(parameters=total.parameters, macs=total.macs))
        subjects += make_subjects(config, ('eager',), image, threads)
    for row, found in zip(rows, measure(subjects, rounds)):
        row['seconds'], row['ratio'] = found.median, found.ratio
    return rows


def cost_cells(row: Row) -> str:
    """Write what :func:`measure_cost` returns as the end of a table's row."""
    return (
        f'| {row["parameters"] / 1e6:.2f} | {row["macs"] / 1e9:.2f} '
        f'| {1e3 * row["seconds"]:.0f} | {row["ratio"]:.2f} |'
    )


def save_picture(path: Path, draw: Callable[[Any], None]) -> None:
    """Save a chart as PNG.

    Args:
        path: File to write.
        draw: Draws on the axes that it is given.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.grid(alpha=0.3)
    draw(axes)
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=100)
    write_atomically(path, content.getvalue())


def write_results(rows: list[Row], table: str, stem: Path) -> None:
    """Write rows as JSON and a table as Markdown beside each other."""
    stem.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(rows, indent=1) + '\n'
    write_atomically(stem.with_suffix('.json'), content)
    write_atomically(stem.with_suffix('.md'), table)
