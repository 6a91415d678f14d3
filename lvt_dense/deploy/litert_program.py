"""Graphs as LiteRT (TFLite) models, converted by litert-torch.

The metadata lie in a ZIP file at the end of the model, where TFLite's own
metadata keep their files, and which its runtime passes over.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lvt_dense.deploy.formats import Call
from lvt_dense.deploy.greedy import select_by_turns, suppress_by
from lvt_dense.deploy.onnx_program import raw_hint, reason_of
from lvt_dense.deploy.operators import operators_of, refuse_untranslated
from lvt_dense.deploy.quiet import silence
from lvt_dense.runtime.sessions import LITERT_INFO, load_litert
from lvt_dense.utils.errors import UserError


def convert(
    graph: Any,
    example: tuple[Tensor, ...],
    info: dict[str, Any],
    precision: str = 'fp32',
) -> bytes:
    """Convert a graph to a model of one image of one size.

    Args:
        graph: The graph.
        example: Its inputs.
        info: Metadata, which the model takes along.
        precision: ``'fp32'`` or ``'fp16'``: what the weights are kept in.

    Returns:
        Content of a ``.tflite`` file.

    Raises:
        UserError: The graph does not convert.
    """
    import litert_torch

    example = tuple(value.contiguous() for value in example)
    info.update(
        batch=1,
        precision=precision,
        inputs=list(graph.inputs),
        outputs=list(graph.outputs),
    )
    with torch.no_grad(), silence():
        try:
            with suppress_by(graph, select_by_turns):
                program = torch.export.export(graph, example)
            refuse_untranslated(operators_of(program), 'LiteRT')
            module = _without_broadcasts(program)
            content = litert_torch.convert(module, example).model_content()
            if precision == 'fp16':
                content = _halve(content)
        except UserError:
            raise
        except Exception as error:  # each pass has its own
            raise UserError(
                f'the model does not convert to LiteRT: {reason_of(error)}'
                + raw_hint(info)
            ) from error
    return content + _pack(info)


def _without_broadcasts(program: torch.export.ExportedProgram) -> nn.Module:
    """Return the program with products in the place of broadcast maps.

    The converter moves the channels of maps to the last axis, but not those
    of what is broadcast to them.
    """
    table = {
        torch.ops.aten.expand.default: lambda x, shape, **_: _broadcast(
            x, shape
        ),
        torch.ops.aten.expand_as.default: lambda x, y: _broadcast(
            x, y.shape, y
        ),
    }
    return program.run_decompositions(table).module()


def _broadcast(
    x: Tensor, shape: Sequence[int], like: Tensor | None = None
) -> Any:
    """Broadcast pooled channels (N, C, 1, 1) to maps (N, C, H, W)."""
    is_pooled = x.dim() == len(shape) == 4 and x.shape[2:] == (1, 1)
    if is_pooled and x.is_floating_point():
        return x * x.new_ones(1, 1, *shape[2:])
    return NotImplemented if like is None else x.expand(like.shape)


def _halve(content: bytes) -> bytes:
    """Keep the weights of convolutions and linear layers in 16 bits."""
    from ai_edge_quantizer import qtyping, quantizer

    config = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(
            num_bits=16, dtype=qtyping.TensorDataType.FLOAT
        ),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    tool = quantizer.Quantizer(bytearray(content))
    for name in ('CONV_2D', 'DEPTHWISE_CONV_2D', 'FULLY_CONNECTED'):
        tool.update_quantization_recipe(
            regex='.*',
            algorithm_key=quantizer.AlgorithmName.FLOAT_CASTING,
            operation_name=qtyping.TFLOperationName[name],
            op_config=config,
        )
    return bytes(tool.quantize().quantized_model)


def _pack(info: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, 'w') as archive:
        archive.writestr(LITERT_INFO, json.dumps(info))
    return buffer.getvalue()


def load(content: bytes) -> Call:
    """Load a model into LiteRT's runtime.

    Args:
        content: Content of a ``.tflite`` file.
    """
    run, _ = load_litert(content, 'the model', threads=1)
    return lambda feed: run(dict(feed))
