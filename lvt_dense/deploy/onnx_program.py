"""From a graph in PyTorch to an ONNX program."""

import json
from collections.abc import Sequence
from typing import Any

import torch

from lvt_dense.deploy.metadata import KEY
from lvt_dense.deploy.quiet import silence
from lvt_dense.utils.errors import UserError

OPSET = 18
DIVISOR = 32  # of the sides of images of any size


def export_program(
    graph: Any,
    inputs: Sequence[tuple[torch.Tensor, ...]],
    is_dynamic: bool,
    one_image: bool = False,
) -> Any:
    """Export a graph with PyTorch's ``dynamo`` exporter.

    Args:
        graph: What :func:`lvt_dense.deploy.graph.build_graph` returns.
        inputs: Inputs of one image; the first ones are the example.
        is_dynamic: Whether height and width are free.
        one_image: Whether the batch is one image.

    Returns:
        ``torch.onnx.ONNXProgram``.

    Raises:
        UserError: The graph does not export.
    """
    from lvt_dense.deploy.translations import onnx_translations

    # A batch of one would be taken for a constant.
    count = 1 if one_image else 2
    example = tuple(torch.cat([value] * count) for value in inputs[0])
    with torch.no_grad(), silence():
        try:
            return torch.onnx.export(
                graph,
                example,
                dynamo=True,
                opset_version=OPSET,
                custom_translation_table=onnx_translations(),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_shapes=_dynamic_shapes(graph, is_dynamic, one_image),
                verbose=False,
            )
        except torch.onnx.OnnxExporterError as error:
            reason = reason_of(error)
            hint = '; --size HxW exports it for one size' if is_dynamic else ''
            raise UserError(
                f'the model does not export: {reason}{hint}'
            ) from error


def _dynamic_shapes(
    graph: Any, is_dynamic: bool, one_image: bool
) -> tuple[dict[int, Any], ...]:
    from torch.export import Dim

    batch = {} if one_image else {0: Dim('batch', min=1, max=1024)}
    image: dict[int, Any] = dict(batch)
    if is_dynamic:
        image[1] = DIVISOR * Dim('rows', min=2, max=128)
        image[2] = DIVISOR * Dim('columns', min=2, max=128)
    return (image, *(batch for _ in graph.inputs[1:]))


def fixes_batch(program: Any) -> bool:
    """Return whether a graph takes one number of images only."""
    return any(
        isinstance(value.shape[0], int) for value in program.model.graph.inputs
    )


def reason_of(error: BaseException) -> str:
    """Return the innermost line that says what went wrong."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [x.strip() for x in str(error).splitlines() if x.strip()]
    return lines[0].rstrip('.') if lines else type(error).__name__


def raw_hint(info: dict[str, Any]) -> str:
    """Return what to try after a graph with decoding and suppression."""
    if info['task'] == 'raw':
        return ''
    return '; --raw exports the network up to the maps'


def to_bytes(program: Any, info: dict[str, Any]) -> bytes:
    """Serialize an ONNX program with metadata."""
    proto = program.model_proto
    entry = proto.metadata_props.add()
    entry.key, entry.value = KEY, json.dumps(info)
    return proto.SerializeToString()
