"""List what TensorRT lacks for ONNX files, by its published table.

The table is ``docs/operators.md`` of onnx/onnx-tensorrt for TensorRT 10.15.
Nothing is run: what is not in the list may fail for another reason.

Example:
    python projects/export_sweep/tensorrt.py model.onnx
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvt_dense.commands.parser import command
from lvt_dense.utils.errors import UserError

VERSION = '10.15'
# Operators with a Y in the table; the others of its list, and those that it
# does not list, are not supported.
_TABLE = """
Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh Attention
AveragePool BatchNormalization BlackmanWindow Cast CastLike Ceil Celu
Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum
DeformConv DepthToSpace DequantizeLinear Div Dropout Einsum Elu Equal
Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND
Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool Greater
GreaterOrEqual GridSample GroupNormalization HammingWindow HannWindow
HardSigmoid HardSwish Hardmax Identity If ImageScaler
InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu
Less LessOrEqual Log LogSoftmax Loop LpNormalization LpPool MatMul Max
MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg
NonMaxSuppression NonZero Not OneHot Or PRelu Pad ParametricSoftplus Pow
QuantizeLinear RMSNormalization RNN RandomNormal RandomNormalLike
RandomUniform RandomUniformLike Range Reciprocal ReduceL1 ReduceL2
ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign
RotaryEmbedding Round STFT ScaledTanh Scan Scatter ScatterElements
ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax
Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh
TensorScatter ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze
Upsample Where Xor
"""
SUPPORTED = frozenset(_TABLE.split())
MAX_K = 3840  # what K of TopK has to stay below


def list_lacking(model: Any) -> list[str]:
    """List operators of a model that the table excludes.

    Args:
        model: ``onnx.ModelProto``.

    Returns:
        Names of operators, or ``'TopK (K=4000)'`` where a value is beyond
        the table's limit; sorted.
    """
    values = _constants(model.graph)
    local = {(f.domain, f.name) for f in model.functions}
    found = set()
    bodies = [model.graph.node, *(f.node for f in model.functions)]
    for node in (n for body in bodies for n in _walk(body)):
        if (node.domain, node.op_type) in local:
            continue
        if node.domain not in ('', 'ai.onnx'):
            found.add(f'{node.domain}.{node.op_type}')
        elif node.op_type not in SUPPORTED:
            found.add(node.op_type)
        else:
            found |= set(_limits(node, values))
    return sorted(found)


def _walk(nodes: Any) -> Iterator[Any]:
    """Return nodes and those of their branches and loops."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.HasField('g'):
                yield from _walk(attribute.g.node)


def _constants(graph: Any) -> dict[str, Any]:
    from onnx import numpy_helper

    values = {x.name: numpy_helper.to_array(x) for x in graph.initializer}
    for node in _walk(graph.node):
        if node.op_type == 'Constant' and node.attribute[0].HasField('t'):
            tensor = node.attribute[0].t
            values[node.output[0]] = numpy_helper.to_array(tensor)
    return values


def _limits(node: Any, values: dict[str, Any]) -> Iterator[str]:
    options = {a.name: a for a in node.attribute}
    if node.op_type == 'TopK':
        count = values.get(node.input[1])
        if count is None:
            yield 'TopK (K is not a constant: not known)'
        elif int(count.max()) >= MAX_K:
            yield f'TopK (K={int(count.max())})'
        if 'sorted' in options and options['sorted'].i != 1:
            yield 'TopK (not sorted)'
    reduction = options['reduction'].s if 'reduction' in options else b'none'
    if node.op_type == 'ScatterND' and reduction != b'none':
        yield 'ScatterND (with reduction)'


@command
def main() -> None:
    """Print one line a file."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('files', nargs='+', type=Path, metavar='FILE')
    for path in parser.parse_args().files:
        text = ', '.join(list_lacking(_read(path))) or 'nothing'
        print(f'{path}: TensorRT {VERSION} lacks {text}')


def _read(path: Path) -> Any:
    import onnx

    try:
        model = onnx.load(path)
    except Exception as error:  # protobuf has its own
        raise UserError(
            f'{path} is no readable ONNX model: {error}'
        ) from error
    if not model.graph.node:  # protobuf takes some texts for empty models
        raise UserError(f'{path} is no ONNX model: it has no operator')
    return model


if __name__ == '__main__':
    main()
