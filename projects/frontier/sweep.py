"""Measure all backbones, piece by piece.

A piece is a few backbones at one size, in all runtimes, in turn with the
reference: a ratio to the reference is that of two medians of the same minute,
and holds on a busy machine too. On one thread, seconds are those of the
processor. What a piece gave is written before the next one starts; a second
run goes on there.
"""

import json
import time
from collections.abc import Iterator, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from lvt_dense.apis.benchmark import measure
from lvt_dense.apis.benchmark_subjects import (
    Subject,
    build_model,
    export_network,
    load_network,
    make_subjects,
)
from lvt_dense.apis.zoo import macs
from lvt_dense.deploy.openvino_graph import adapt_to_openvino
from lvt_dense.models.backbones import list_backbones
from lvt_dense.utils.files import write_atomically

REFERENCE = 'emo_1m'
RUNTIMES = ('eager', 'onnxruntime', 'openvino')
TOGETHER = 4  # backbones of a piece
Size = tuple[int, int]
Row = dict[str, Any]


def title_of(size: Size) -> str:
    """Write a size as on the command line."""
    return f'{size[0]}x{size[1]}'


def build(name: str) -> nn.Module:
    """Build one of our backbones, or a pyramid of timm."""
    is_ours = name in list_backbones()
    return build_model(name if is_ours else f'timm:{name}').eval()


def export_all(names: Sequence[str], size: Size, cache: Path) -> None:
    """Write what is not there yet in ONNX, and what failed as a reason.

    Args:
        names: Backbones.
        size: Height and width of the image.
        cache: Folder of the files.
    """
    cache.mkdir(parents=True, exist_ok=True)
    todo = [n for n in names if not any(_exported(n, size, cache))]
    for name in tqdm(todo, f'Export at {title_of(size)}'):
        path, reason = _paths(name, size, cache)
        try:
            _export(name, size, path)
        except Exception as error:  # whatever an exporter raises
            path.unlink(missing_ok=True)
            reason.write_text(f'{type(error).__name__}: {error}'[:300])


def _export(name: str, size: Size, path: Path) -> None:
    """Write a backbone; one that OpenVINO takes in other forms, twice."""
    model, image = build(name), torch.rand(1, 3, *size)
    adapted = adapt_to_openvino(model)
    if adapted is not model:
        export_network(adapted, image, _own_path(path, 'openvino'))
    export_network(model, image, path)


def _own_path(path: Path, mode: str) -> Path:
    """Return the file of a runtime that takes other forms of layers."""
    return path.with_name(f'{path.stem}_{mode}.onnx')


def _paths(name: str, size: Size, cache: Path) -> tuple[Path, Path]:
    stem = f'{name}_{title_of(size)}'
    return cache / f'{stem}.onnx', cache / f'{stem}.txt'


def _exported(name: str, size: Size, cache: Path) -> Iterator[bool]:
    return (path.exists() for path in _paths(name, size, cache))


def measure_all(
    names: Sequence[str],
    size: Size,
    cache: Path,
    out: Path,
    threads: int,
    rounds: int,
    limit: int | None = None,
) -> None:
    """Measure what ``out`` does not have yet.

    Args:
        names: Backbones.
        size: Height and width of the image.
        cache: Folder of :func:`export_all`.
        out: JSON file of the rows, read first.
        threads: Threads of every runtime.
        rounds: Calls of each.
        limit: Pieces to measure at most.
    """
    rows = read_rows(out)
    done = {row['name'] for row in rows if row['size'] == list(size)}
    todo = [name for name in names if name not in done]
    pieces = [todo[i : i + TOGETHER] for i in range(0, len(todo), TOGETHER)]
    if not pieces:
        return
    torch.set_num_threads(threads)
    image = torch.rand(1, 3, *size)
    reference = list(_subjects(REFERENCE, image, cache, threads))
    for piece in tqdm(pieces[:limit], f'Measure at {title_of(size)}'):
        others = [name for name in piece if name != REFERENCE]
        subjects = [
            subject
            for name in others
            for subject in _subjects(name, image, cache, threads)
        ]
        found = {
            (m.name, m.mode): m.median
            for m in measure(
                [*reference, *subjects], rounds, **_clock(threads)
            )
        }
        rows = read_rows(out)
        for name in piece:
            row = dict(describe(name, size), threads=threads)
            for mode in RUNTIMES:
                if (name, mode) in found:
                    row[mode] = found[name, mode]
                    theirs = found[REFERENCE, mode]
                    row[f'{mode}_ratio'] = row[mode] / theirs
            rows.append(row)
        write_atomically(out, json.dumps(rows, indent=1) + '\n')


def _clock(threads: int) -> dict[str, Any]:
    """Choose how :func:`measure` reads the time."""
    if threads > 1:
        return {}
    return dict(clock=time.process_time, pause=0.0)


def _subjects(
    name: str, image: Tensor, cache: Path, threads: int
) -> Iterator[Subject]:
    full = name if name in list_backbones() else f'timm:{name}'
    for subject in make_subjects(full, ('eager',), image, threads):
        yield subject._replace(name=name)
    path, _ = _paths(name, tuple(image.shape[2:]), cache)
    if path.exists():
        for mode in RUNTIMES[1:]:
            own = _own_path(path, mode)
            file = own if own.exists() else path
            call = load_network(file, mode, image, threads)
            yield Subject(name, mode, call)


def describe(name: str, size: Size) -> Row:
    """Count parameters and multiply-accumulates of a backbone."""
    model = build(name)
    parameters = sum(p.numel() for p in model.parameters())
    return dict(
        name=name,
        is_ours=name in list_backbones(),
        size=list(size),
        parameters=parameters,
        macs=macs(deepcopy(model).to('meta'), *size),
    )


def read_rows(out: Path) -> list[Row]:
    """Read what was measured so far."""
    return json.loads(out.read_text()) if out.exists() else []
