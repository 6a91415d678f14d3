"""Suppression in plain tensors, against the usual algorithm and in formats."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lvt_dense.deploy.candidates import Candidates
from lvt_dense.deploy.greedy import (
    Select,
    select_by_loop,
    select_by_operator,
    select_by_scan,
    select_by_turns,
    suppress_by,
)
from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.runtime.errors import InputError
from lvt_dense.runtime.sessions import open_session
from lvt_dense.utils.errors import UserError

CASES, BOXES = 250, 24  # of each kind: 1,000 in all


def list_kept(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list:
    """Greedy suppression of one image as it is usually written."""
    left = [i for i in np.argsort(-scores, kind='stable') if scores[i] > 0]
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    kept = []
    while left:
        best, *rest = left
        kept.append(int(best))
        left = []
        for i in rest:
            corner = np.maximum(boxes[best, :2], boxes[i, :2])
            sides = np.minimum(boxes[best, 2:], boxes[i, 2:]) - corner
            shared = np.prod(np.maximum(sides, 0))
            with np.errstate(invalid='ignore'):
                overlap = shared / (areas[best] + areas[i] - shared)
            if not overlap > limit:
                left.append(i)
    return kept


def make_cases(kind: str) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(len(kind))
    corner = 60 * torch.rand(CASES, BOXES, 2, generator=random)
    sides = 5 + 40 * torch.rand(CASES, BOXES, 2, generator=random)
    scores = torch.rand(CASES, BOXES, generator=random)
    scores = torch.where(scores < 0.2, 0.0, scores)
    if kind == 'ties':  # of scores, boxes and overlaps; some boxes are empty
        corner, sides = (corner / 20).round() * 20, (sides / 20).round() * 20
        scores = (scores * 4).round() / 4
    elif kind == 'overlapping':
        corner, sides = corner * 0.01, sides.clamp(min=44)
    elif kind == 'empty':
        scores[: CASES // 2] = 0
        sides = 0 * sides
    return torch.cat((corner, corner + sides), -1), scores


@pytest.mark.parametrize(
    'select', [select_by_loop, select_by_scan, select_by_turns]
)
@pytest.mark.parametrize('kind', ['random', 'ties', 'overlapping', 'empty'])
def test_the_list_is_that_of_the_usual_algorithm(
    kind: str, select: Select
) -> None:
    boxes, scores = make_cases(kind)
    for limit, count in ((0.5, BOXES), (0.3, 5)):
        top, index = select(boxes, scores, limit, count)
        assert top.shape == index.shape == (CASES, count)
        for i in range(CASES):
            kept = list_kept(boxes[i].numpy(), scores[i].numpy(), limit)
            kept = kept[:count]
            found = index[i][top[i] > 0].tolist()
            assert found == kept, (i, found, kept)
            assert top[i][: len(kept)].tolist() == scores[i][kept].tolist()
            assert not top[i][len(kept) :].any()


def test_the_operator_of_the_other_formats_keeps_the_same() -> None:
    boxes, scores = make_cases('random')
    expected = select_by_operator(boxes, scores, 0.5, 10)[0]
    assert torch.equal(select_by_loop(boxes, scores, 0.5, 10)[0], expected)


class Detector(nn.Module):
    """Boxes of two labels around what a convolution sees."""

    inputs = ('image',)
    outputs = ('boxes', 'scores', 'labels')
    raw = False

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.input = ImageInput(dict(mean=[127.0] * 3, std=[64.0] * 3))
        self.conv = nn.Conv2d(3, 6, 4, 4)
        self.select: Select = select_by_operator

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        maps = self.conv(self.input(image)).permute(0, 2, 3, 1).flatten(1, 2)
        place = torch.arange(maps.shape[1])
        center = torch.stack((place % 16, place // 16), -1) * 40.0
        corner = center + 30 * maps[..., :2].tanh()
        sides = 200 * maps[..., 2:4].sigmoid()
        scores, labels = maps[..., 4:].sigmoid().max(-1)
        scores = torch.where(scores > 0.4, scores, 0.0)
        boxes = torch.cat((corner, corner + sides), -1).clamp(min=0)
        found = Candidates(boxes, scores, labels)
        found = found.suppress(0.5, 20, self.select)
        return found.boxes, found.scores, found.labels


@pytest.fixture(scope='module')
def image() -> Tensor:
    random = torch.Generator().manual_seed(1)
    return torch.randint(
        0, 256, (1, 32, 64, 3), dtype=torch.uint8, generator=random
    )


def test_a_graph_suppresses_by_its_operator_again(image: Tensor) -> None:
    graph = Detector().eval()
    with torch.no_grad():
        expected = graph(image)
        with suppress_by(graph, select_by_loop):
            assert graph.select is select_by_loop
            found = graph(image)
    assert graph.select is select_by_operator
    assert 1 < (expected[1] > 0).sum() <= 20
    for one, two in zip(found, expected):
        assert torch.equal(one[expected[1] > 0], two[expected[1] > 0])
    with suppress_by(nn.Identity(), select_by_loop):
        pass


def test_executorch_suppresses(image: Tensor) -> None:
    pytest.importorskip('executorch')
    from lvt_dense.deploy import executorch_program
    from lvt_dense.deploy.parity import check_differences, compare_outputs

    graph = Detector().eval()
    with torch.no_grad():
        outputs = [value.numpy() for value in graph(image)]
    expected = dict(zip(graph.outputs, outputs))
    content = executorch_program.convert(
        graph, (image,), dict(task='detection')
    )
    call = executorch_program.load(content, graph.outputs)
    found = call(dict(image=image.numpy()))
    assert found['scores'].shape == (1, 20)
    gaps = compare_outputs(expected, found)
    assert gaps['detections'] > 1
    check_differences(gaps, 1e-5)
    none = call(dict(image=np.zeros_like(image.numpy())))
    assert none['scores'].shape == (1, 20)


def test_too_many_turns_are_refused() -> None:
    boxes, scores = torch.zeros(1, 200, 4), torch.zeros(1, 200)
    with pytest.raises(UserError, match='returns 101 boxes.*max_per_img=100'):
        select_by_turns(boxes, scores, 0.5, 101)


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_litert_suppresses(image: Tensor, precision: str) -> None:
    pytest.importorskip('litert_torch')
    from lvt_dense.deploy import litert_program
    from lvt_dense.deploy.parity import check_differences, compare_outputs

    graph = Detector().eval()
    with torch.no_grad():
        outputs = [value.numpy() for value in graph(image)]
    info = dict(task='detection')
    content = litert_program.convert(graph, (image,), info, precision)
    assert graph.select is select_by_operator
    call = litert_program.load(content)
    found = call(dict(image=image.numpy()))
    assert found['scores'].shape == (1, 20)
    gaps = compare_outputs(dict(zip(graph.outputs, outputs)), found)
    assert gaps['detections'] > 1
    check_differences(gaps, 1e-2 if precision == 'fp16' else 1e-5)
    with pytest.raises(InputError, match='one image at a time, not 2'):
        call(dict(image=np.repeat(image.numpy(), 2, 0)))


def test_what_is_no_litert_model(tmp_path: Path) -> None:
    path = tmp_path / 'a.tflite'
    path.write_bytes(b'TFL3')
    with pytest.raises(InputError, match='no metadata of lvt_dense'):
        open_session(path)


@pytest.mark.parametrize('precision', ['fp32', 'fp16'])
def test_coreml_suppresses(image: Tensor, precision: str) -> None:
    pytest.importorskip('coremltools')
    from lvt_dense.deploy import coreml_program

    graph = Detector().eval()
    with torch.no_grad():
        expected = [value.numpy() for value in graph(image)]
    package = coreml_program.convert(
        graph, (image,), dict(color='rgb', task='detection'), precision
    )
    function = package._mil_program.functions['main']
    pixels = image.permute(0, 3, 1, 2).numpy().astype(np.float32)
    boxes, scores, labels = run_mil(function, dict(image=pixels))
    kept = expected[1] > 0
    assert kept.sum() > 1 and (scores > 0).tolist() == kept.tolist()
    (conv,) = function.find_ops(op_type='conv')
    (loop,) = function.find_ops(op_type='while_loop')
    assert _type_of(conv) == precision
    divisions = loop.blocks[1].find_ops(op_type='real_div')
    assert [_type_of(op) for op in divisions] == ['fp32']
    tolerance = 1e-4 if precision == 'fp32' else 0.3
    np.testing.assert_array_equal(labels[kept], expected[2][kept])
    np.testing.assert_allclose(scores, expected[1], atol=tolerance / 100)
    np.testing.assert_allclose(boxes[kept], expected[0][kept], atol=tolerance)


def run_mil(function: Any, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Compute a program of Core ML in NumPy, operator by operator.

    Core ML itself runs on macOS alone.
    """
    values = {function.inputs[k]: v for k, v in feed.items()}
    _run_block(function, values)
    return [_value(v, values) for v in function.outputs]


def _run_block(block: Any, values: dict[Any, Any]) -> None:
    for op in block.operations:
        if op.op_type == 'const':
            continue
        given = {
            key: [_value(v, values) for v in value]
            if isinstance(value, (list, tuple))
            else _value(value, values)
            for key, value in op.inputs.items()
        }
        if op.op_type == 'while_loop':
            results = _run_loop(op, given['loop_vars'], values)
        else:
            result = MIL[op.op_type](**given)
            kind = np.dtype(KINDS[_type_of(op)])
            results = [np.asarray(result).astype(kind)]
        values.update(zip(op.outputs, results))


def _type_of(op: Any) -> str:
    from coremltools.converters.mil.mil import types

    return types.builtin_to_string(op.outputs[0].dtype)


def _run_loop(op: Any, state: list, values: dict[Any, Any]) -> list:
    condition, body = op.blocks
    for _ in itertools.count():
        for block in (condition, body):
            values.update(zip(block.inputs, state))
        _run_block(condition, values)
        if not _value(condition.outputs[0], values):
            return state
        _run_block(body, values)
        state = [_value(v, values) for v in body.outputs]
    raise AssertionError


def _value(var: Any, values: dict[Any, Any]) -> Any:
    return var.val if var.val is not None else values[var]


def _conv(
    x: np.ndarray, weight: np.ndarray, strides: Any, bias: Any = 0, **_: Any
) -> np.ndarray:
    args = [torch.from_numpy(np.float32(v)) for v in (x, weight, bias)]
    return nn.functional.conv2d(*args, tuple(map(int, strides))).numpy()


def _slice(
    x: np.ndarray,
    begin: Any,
    end: Any,
    begin_mask: Any = None,
    end_mask: Any = None,
    squeeze_mask: Any = None,
    **_: Any,
) -> np.ndarray:
    no = [False] * x.ndim
    masks = (begin_mask, end_mask, squeeze_mask)
    open_begin, open_end, gone = (no if m is None else m for m in masks)
    cut = tuple(
        slice(None if b else int(i), None if e else int(j))
        for i, j, b, e in zip(begin, end, open_begin, open_end)
    )
    return x[cut].squeeze(tuple(np.flatnonzero(gone)))


def _topk(values: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-values, -1, kind='stable')[..., :k]


KINDS = dict(fp32='f4', fp16='f2', int32='i4', int16='i2', bool='?')
KINDS.update(uint16='u2', uint8='u1', int8='i1')
MIL: dict[str, Callable[..., Any]] = dict(
    add=lambda x, y: x + y,
    cast=lambda x, dtype: np.asarray(x).astype(KINDS[dtype]),
    clip=lambda x, alpha, beta: np.clip(x, alpha, beta),
    concat=lambda values, axis, **_: np.concatenate(values, axis),
    conv=_conv,
    equal=lambda x, y: x == y,
    expand_dims=lambda x, axes: np.expand_dims(x, tuple(axes)),
    floor_div=lambda x, y: x // y,
    gather_along_axis=lambda x, indices, axis, **_: np.take_along_axis(
        x, indices.astype(int), axis
    ),
    greater=lambda x, y: x > y,
    greater_equal=lambda x, y: x >= y,
    identity=lambda x: x,
    less=lambda x, y: x < y,
    logical_and=lambda x, y: x & y,
    logical_or=lambda x, y: x | y,
    maximum=lambda x, y: np.maximum(x, y),
    minimum=lambda x, y: np.minimum(x, y),
    mul=lambda x, y: x * y,
    real_div=lambda x, y: x / y,
    reduce_argmax=lambda x, axis, keep_dims, **_: np.argmax(
        x, axis, keepdims=keep_dims
    ),
    reduce_max=lambda x, keep_dims, axes=None: np.max(
        x, None if axes is None else tuple(axes), keepdims=keep_dims
    ),
    reduce_min=lambda x, keep_dims, axes=None: np.min(
        x, None if axes is None else tuple(axes), keepdims=keep_dims
    ),
    reverse=lambda x, axes: np.flip(x, tuple(axes)),
    reshape=lambda x, shape, **_: x.reshape(tuple(shape)),
    select=lambda cond, a, b: np.where(cond, a, b),
    sigmoid=lambda x: 1 / (1 + np.exp(-x)),
    slice_by_index=_slice,
    sub=lambda x, y: x - y,
    tanh=lambda x: np.tanh(x),
    tile=lambda x, reps: np.tile(x, tuple(reps)),
    transpose=lambda x, perm: np.transpose(x, perm),
)
