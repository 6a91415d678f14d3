"""Which layers int8 leaves in float."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from lvt_dense.deploy.formats import to_openvino
from lvt_dense.deploy.sensitivity import choose_groups
from lvt_dense.utils.errors import UserError

GROUPS = [[f'{i}a', f'{i}b'] for i in range(6)]


def additive(parts: Sequence[float]) -> Callable[[Sequence[str]], float]:
    """An error that is a sum over the groups that are quantized."""

    def error(names: Sequence[str]) -> float:
        return sum(p for p, g in zip(parts, GROUPS) if g[0] not in names)

    return error


@pytest.mark.parametrize(
    ('parts', 'kept'),
    [
        ([0.001] * 2 + [0.06, 0.001, 0.03, 0.001], [2, 4]),
        ([0.0001] * 6, []),  # close enough as it is
        ([0.002] * 5 + [0.2], [5]),  # nothing else stands out
    ],
)
def test_groups_that_stand_out(parts: list[float], kept: list[int]) -> None:
    found = choose_groups(GROUPS, additive(parts))
    assert found == [name for i in kept for name in GROUPS[i]]


def make_onnx() -> bytes:
    import onnx

    shape = ['n', 3, 8, 8]
    weight = np.random.default_rng(0).normal(size=(4, 3, 1, 1))
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node('Conv', ['x', 'w'], ['logits'])],
        'net',
        [onnx.helper.make_tensor_value_info('x', 1, shape)],
        [onnx.helper.make_tensor_value_info('logits', 1, ['n', 4, 8, 8])],
        [onnx.numpy_helper.from_array(weight.astype(np.float32), 'w')],
    )
    opset = [onnx.helper.make_opsetid('', 18)]
    model = onnx.helper.make_model(graph, opset_imports=opset, ir_version=9)
    return model.SerializeToString()


def quantized(model: Any) -> int:
    kinds = [op.get_type_name() for op in model.get_ordered_ops()]
    return kinds.count('FakeQuantize')


def test_patterns_keep_layers_in_float() -> None:
    pytest.importorskip('openvino')
    pytest.importorskip('nncf')
    rng = np.random.default_rng(0)
    feeds = [dict(x=rng.random((1, 3, 8, 8), np.float32)) for _ in range(2)]
    content = make_onnx()
    assert quantized(to_openvino(content, {}, 'int8', feeds)) > 0
    model = to_openvino(content, {}, 'int8', feeds, ['logit.*'])
    assert quantized(model) == 0
    assert '"float_layers": ["logits"]' in model.get_rt_info('lvt_dense').value
    with pytest.raises(UserError, match='matches the name of no layer'):
        to_openvino(content, {}, 'int8', feeds, ['tail'])
    with pytest.raises(UserError, match='--keep-float'):
        to_openvino(content, {}, 'int8', feeds, ['('])
    with pytest.raises(UserError, match='--calibration DIR'):
        to_openvino(content, {}, 'int8')
