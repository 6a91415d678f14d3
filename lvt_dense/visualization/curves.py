"""Learning curves from the logs of a training."""

import json
from collections.abc import Iterator
from pathlib import Path

from lvt_dense.utils.errors import UserError

Curve = list[tuple[int, float]]
_NO_METRICS = ('time', 'data_time', 'memory', 'step', 'iter', 'epoch')


def read_curves(work_dir: str | Path) -> tuple[Curve, dict[str, Curve]]:
    """Read the loss and the metrics of a training, resumed ones included.

    Args:
        work_dir: Folder of the training, with ``*/vis_data/scalars.json``.

    Returns:
        The loss and each metric of the validations by iteration. Where two
        runs logged the same step, the later one counts. Lines that a killed
        run has left in part do not count. A validation that was logged by
        epoch counts as one at the last iteration before it in the log.

    Raises:
        UserError: There is no log.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise UserError(
            f'{work_dir} holds no log */vis_data/scalars.json; give the '
            '--work-dir of a training'
        )
    loss: dict[int, float] = {}
    metrics: dict[str, dict[int, float]] = {}
    for log in logs:
        last = 0
        for entry in _entries(log):
            if 'loss' in entry:
                last = entry['step']
                loss[last] = entry['loss']
                continue
            step = max(entry['step'], last)
            for key, value in entry.items():
                if key not in _NO_METRICS:
                    metrics.setdefault(key, {})[step] = value
    by_name = {name: sorted(curve.items()) for name, curve in metrics.items()}
    return sorted(loss.items()), by_name


def draw_curves(work_dir: str | Path, metric: str, out: str | Path) -> None:
    """Draw the loss, and a metric of the validations below it.

    Args:
        work_dir: Folder of the training.
        metric: Its name as the log has it, such as ``mIoU``.
        out: Picture to write, ``.png`` or ``.svg``.

    Raises:
        UserError: There is no log, or no such metric in it.
    """
    loss, metrics = read_curves(work_dir)
    if metric not in metrics:
        raise UserError(
            f'the logs in {work_dir} have no metric {metric!r}; they have '
            f'{", ".join(sorted(metrics)) or "none"}'
        )
    from matplotlib.figure import Figure

    sheet = Figure(figsize=(6.4, 5.6), layout='constrained')
    above, below = sheet.subplots(2, 1)
    above.plot(*zip(*loss), color='tab:blue')
    above.set(ylabel='training loss', xlabel='step', ylim=(0, None))
    below.plot(*zip(*metrics[metric]), color='tab:red', marker='o')
    below.set(ylabel=metric, xlabel='step', xlim=above.get_xlim())
    for step, value in metrics[metric]:
        below.annotate(
            f'{value:.3g}',
            (step, value),
            xytext=(0, -14),
            textcoords='offset points',
            ha='center',
        )
    for axes in (above, below):
        axes.grid(alpha=0.3)
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    sheet.savefig(out, dpi=110)


def _entries(log: Path) -> Iterator[dict]:
    for line in log.read_text().splitlines():
        try:
            yield json.loads(line)
        except ValueError:
            continue
