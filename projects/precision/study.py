"""Size, latency and metric of one model in every precision."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from lvt_dense.apis.benchmark import benchmark
from lvt_dense.apis.export import export
from lvt_dense.apis.test import test
from lvt_dense.config import load_config, set_data_root
from lvt_dense.runtime import Predictor
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

# File, format, precision and layers in float of every version; the first
# one is what the others are compared with.
VERSIONS: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    'ONNX Runtime fp32': ('fp32.onnx', 'onnx', 'fp32', ()),
    'OpenVINO fp32': ('fp32.xml', 'openvino', 'fp32', ()),
    'OpenVINO fp16 file': ('fp16.xml', 'openvino', 'fp16', ()),
    'OpenVINO bf16': ('bf16.xml', 'openvino', 'bf16', ()),
    'OpenVINO int8': ('int8.xml', 'openvino', 'int8', ()),
    'OpenVINO int8, layers in float': (
        'int8_auto.xml',
        'openvino',
        'int8',
        ('auto',),
    ),
}
LOSS = 0.5  # points of the metric that may be lost
GAIN = 1.5  # of the latency that is wanted


def load(config: str, data_root: str | None) -> Config:
    """Load a config, and point it at the data."""
    cfg = load_config(config)
    if data_root:
        set_data_root(cfg, data_root)
    return cfg


def export_versions(
    config: str,
    checkpoint: str,
    folder: Path,
    calibration: str,
    size: Sequence[int] | None = None,
) -> None:
    """Export what is not there yet.

    Args:
        config: Config of the model.
        checkpoint: Its weights.
        folder: Where the files lie.
        calibration: Folder of images that int8 is fitted to.
        size: Height and width of the input.
    """
    for name, (file, kind, precision, keep_float) in VERSIONS.items():
        out = folder / file
        if out.exists():
            continue
        print(f'{folder.name}: exporting {name}', flush=True)
        export(
            load_config(config),
            checkpoint,
            str(out),
            kind=kind,
            precision=precision,
            size=size,
            calibration=calibration if precision == 'int8' else None,
            keep_float=keep_float,
        )


def evaluate_versions(
    config: str, checkpoint: str, folder: Path, data_root: str | None
) -> None:
    """Evaluate PyTorch's model and the exported ones, as far as not done."""
    models = {'PyTorch': Path(checkpoint)}
    models.update({k: folder / v[0] for k, v in VERSIONS.items()})
    path = folder / 'metrics.json'
    found = json.loads(path.read_text()) if path.exists() else {}
    for name, model in models.items():
        if name in found or not model.exists():
            continue
        print(f'{folder.name}: evaluating {name}', flush=True)
        work_dir = str(folder / 'test')
        found[name] = test(load(config, data_root), str(model), work_dir)
        write_atomically(path, json.dumps(found, indent=1) + '\n')


def time_versions(
    folder: Path, size: Sequence[int] | None, threads: int, rounds: int
) -> None:
    """Measure all versions in turn in one process.

    Args:
        folder: Folder of the model.
        size: Height and width of the images; by default that of the graph.
        threads: Threads of the runtimes.
        rounds: Calls of each version.
    """
    files = [v[0] for v in VERSIONS.values() if (folder / v[0]).exists()]
    if not files:
        raise UserError(f'{folder} holds no exported model: export first')
    size = size or Predictor(folder / files[0]).info['size'] or (320, 320)
    found = benchmark(
        [str(folder / file) for file in files],
        size,
        threads=threads,
        rounds=rounds,
    )
    rows = {
        file: dict(ms=1000 * m.median, p90=1000 * m.p90, ratio=m.ratio)
        for file, m in zip(files, found)
    }
    content = dict(threads=threads, rounds=rounds, size=size, rows=rows)
    path = folder / 'speed.json'
    write_atomically(path, json.dumps(content, indent=1) + '\n')


def size_of(model: Path) -> int:
    """Return the bytes of a model, of OpenVINO's with its weights."""
    files = [model]
    if model.suffix == '.xml':
        files.append(model.with_suffix('.bin'))
    return sum(file.stat().st_size for file in files)


def tabulate(folder: Path, metric: str) -> list[dict[str, Any]]:
    """Join what has been measured.

    Args:
        folder: Folder of one model.
        metric: Name of the metric.

    Returns:
        A row for each version that there is.
    """
    metrics = _read(folder / 'metrics.json')
    speed = _read(folder / 'speed.json')
    start = metrics.get('PyTorch', {}).get(metric)
    rows = []
    for name, (file, *_) in VERSIONS.items():
        if not (folder / file).exists():
            continue
        timing = speed.get('rows', {}).get(file, {})
        value = metrics.get(name, {}).get(metric)
        lost = None if None in (start, value) else start - value
        gain = 1 / timing['ratio'] if timing else None
        pays = None
        if gain is not None and lost is not None:
            pays = gain >= GAIN and lost <= LOSS
        rows.append(
            dict(
                model=folder.name,
                version=name,
                megabytes=size_of(folder / file) / 1e6,
                ms=timing.get('ms'),
                gain=gain,
                metric=value,
                lost=lost,
                pays=pays,
            )
        )
    return rows


def to_markdown(rows: Sequence[dict[str, Any]], metric: str) -> str:
    """Write rows as a table."""
    lines = [
        f'| model | version | MB | ms | times ONNX Runtime fp32 | {metric} | '
        'lost | pays |',
        '|---|---|---|---|---|---|---|---|',
    ]
    for row in rows:
        cells = [row['model'], row['version']]
        for key, digits in (
            ('megabytes', 1),
            ('ms', 1),
            ('gain', 2),
            ('metric', 2),
            ('lost', 2),
        ):
            value = row[key]
            cells.append('' if value is None else f'{value:.{digits}f}')
        cells.append({None: '', True: 'yes', False: 'no'}[row['pays']])
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def _read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text()) if path.exists() else {}
