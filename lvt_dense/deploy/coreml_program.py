"""Graphs as Core ML packages, which run on macOS and iOS alone."""

import json
import platform
import shutil
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lvt_dense.deploy.coreml_operators import register_operators
from lvt_dense.deploy.formats import Call, Feed
from lvt_dense.deploy.greedy import select_by_loop, suppress_by
from lvt_dense.deploy.metadata import KEY
from lvt_dense.deploy.onnx_program import raw_hint, reason_of
from lvt_dense.deploy.operators import refuse_untranslated
from lvt_dense.utils.errors import UserError

_LAYERS = ('conv', 'conv_transpose', 'linear', 'matmul')


class _PlanarInput(nn.Module):
    """Take an image as Core ML hands it over: (1, 3, H, W), 0 to 255."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.network = graph  # a traced module has a graph of its own

    def forward(self, image: Tensor, *others: Tensor) -> tuple[Tensor, ...]:
        return self.network(image.permute(0, 2, 3, 1), *others)


def convert(
    graph: Any,
    example: tuple[Tensor, ...],
    info: dict[str, Any],
    precision: str = 'fp32',
) -> Any:
    """Convert a graph to an ML program of one image of one size.

    Args:
        graph: The graph.
        example: Its inputs.
        info: Metadata, which the package takes along.
        precision: ``'fp32'`` or ``'fp16'``: what it is computed in.

    Returns:
        ``coremltools.models.MLModel``.

    Raises:
        UserError: The graph does not convert.
    """
    import coremltools

    register_operators()
    info['batch'] = 1
    image, *others = example
    planar = image.permute(0, 3, 1, 2).float()
    inputs = _describe_inputs(graph.inputs, (planar, *others), info['color'])
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')
        try:
            with suppress_by(graph, select_by_loop):
                program = torch.jit.trace(
                    _PlanarInput(graph).eval(), (planar, *others), strict=False
                )
            nodes = program.inlined_graph.nodes()
            refuse_untranslated((node.kind() for node in nodes), 'Core ML')
            package = coremltools.convert(
                program,
                inputs=inputs,
                outputs=[coremltools.TensorType(n) for n in graph.outputs],
                compute_precision=_compute_precision(graph, precision),
                minimum_deployment_target=coremltools.target.iOS16,
                skip_model_load=platform.system() != 'Darwin',
            )
        except UserError:
            raise
        except Exception as error:  # each pass has its own
            raise UserError(
                f'the model does not convert to Core ML: {reason_of(error)}'
                + raw_hint(info)
            ) from error
    package.user_defined_metadata[KEY] = json.dumps(
        dict(info, precision=precision)
    )
    return package


def _compute_precision(graph: Any, precision: str) -> Any:
    """Return what coremltools takes for the precision of a graph.

    Coordinates of many hundred pixels, let alone areas, are too large for
    fp16: with suppression, only what leads to a layer with weights is fp16.
    """
    import coremltools

    if precision == 'fp32':
        return coremltools.precision.FLOAT32
    if getattr(graph, 'select', None) is None or graph.raw:
        return coremltools.precision.FLOAT16
    found: set[int] = set()

    def is_half(op: Any) -> bool:
        if not found:
            found.update(_find_ancestors(op))
        return id(op) in found

    return coremltools.transform.FP16ComputePrecision(op_selector=is_half)


def _find_ancestors(op: Any) -> set[int]:
    """Return ids of the layers of a program, and of all that they need."""
    block = op.enclosing_block
    while block.outer_op is not None:
        block = block.outer_op.enclosing_block
    waiting = [o for o in block.operations if o.op_type in _LAYERS]
    found: set[int] = set()
    while waiting:
        one = waiting.pop()
        if id(one) in found:
            continue
        found.add(id(one))
        for value in one.inputs.values():
            values = value if isinstance(value, (list, tuple)) else [value]
            waiting += [v.op for v in values if v.op is not None]
    return found


def _describe_inputs(
    names: Sequence[str], values: Sequence[Tensor], color: str
) -> list[Any]:
    import coremltools

    image, *others = values
    shape = tuple(image.shape)
    inputs = [
        coremltools.ImageType('image', shape, color_layout=color.upper())
    ]
    for name, value in zip(names[1:], others):
        kind = np.int32 if value.dtype == torch.int64 else np.float32
        inputs.append(
            coremltools.TensorType(name, tuple(value.shape), dtype=kind)
        )
    return inputs


def load(package: Any) -> Call | None:
    """Return what runs a package; None where there is no Core ML."""
    if platform.system() != 'Darwin':
        return None
    from PIL import Image

    def run(feed: Feed) -> dict[str, np.ndarray]:
        values: dict[str, Any] = {
            k: v.astype(np.int32) if v.dtype == np.int64 else v
            for k, v in feed.items()
        }
        values['image'] = Image.fromarray(feed['image'][0])
        return package.predict(values)

    return run


def write(package: Any, out: Path) -> None:
    """Write a package, which is a folder, whole.

    Raises:
        UserError: A file is in the way, or a folder that is no package.
    """
    if out.exists() and not (out / 'Manifest.json').is_file():
        raise UserError(
            f'{out} is in the way and is not a Core ML package: choose '
            'another --out'
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        path = Path(folder, out.name)
        package.save(str(path))
        if out.exists():
            out.rename(Path(folder, 'old'))
        shutil.move(path, out)


def count_operators(package: Any) -> dict[str, int]:
    """Count the operators of a package by name, most frequent first."""
    counts: dict[str, int] = {}
    program = package.get_spec().mlProgram
    for function in program.functions.values():
        for block in function.block_specializations.values():
            for operation in block.operations:
                counts[operation.type] = counts.get(operation.type, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
