"""Core ML, ExecuTorch, and what is said where a package is missing."""

import importlib
import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.apis.export import require_format
from lvt_dense.deploy.formats import FORMATS, PACKAGES, check_format
from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.deploy.operators import refuse_untranslated
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.install import find_source


class Graph(nn.Module):
    """A small graph with the inputs and outputs of an exported one."""

    inputs = ('image', 'size')
    outputs = ('logits', 'labels')

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.input = ImageInput(dict(mean=[9.0] * 3), 'rgb', padded=True)
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)

    def forward(self, image: Tensor, size: Tensor) -> tuple[Tensor, ...]:
        logits = self.conv(self.input(image, size))
        return logits, logits.argmax(1).to(torch.int32)


@pytest.fixture
def example() -> tuple[Tensor, ...]:
    image = torch.randint(0, 256, (1, 32, 64, 3), dtype=torch.uint8)
    return image, torch.tensor([[30, 60]])


def test_executorch_gives_the_same(example: tuple[Tensor, ...]) -> None:
    pytest.importorskip('executorch')
    from executorch.runtime import Runtime

    from lvt_dense.deploy import executorch_program

    graph, info = Graph().eval(), dict(task='raw')
    image, size = example
    planes = image.permute(3, 0, 1, 2).contiguous()  # as NumPy's indexing
    example = (planes.permute(1, 2, 3, 0), size)
    content = executorch_program.convert(graph, example, info)
    call = executorch_program.load(content, graph.outputs)
    feed = dict(zip(graph.inputs, (value.numpy() for value in example)))
    with torch.no_grad():
        logits, labels = graph(*example)
    for _ in range(2):  # the second call must not change the first's results
        found = call(feed)
        np.testing.assert_allclose(found['logits'], logits, atol=1e-4)
        np.testing.assert_array_equal(found['labels'], labels)
        feed['image'] = feed['image'] * 1
    program = Runtime.get().load_program(content)
    (text,) = program.load_method('lvt_dense').execute(())
    assert json.loads(text) == dict(task='raw', batch=1)


class Windows(nn.Module):
    """Attention's regrouping of a map, in seven axes."""

    def forward(self, x: Tensor) -> Tensor:
        cut = (2 * x).view(1, 2, 2, 4, 2, 4, 2)
        return cut.permute(0, 3, 5, 1, 4, 6, 2).flatten(1, 2) + 1


def test_executorch_takes_more_axes_than_xnnpack() -> None:
    pytest.importorskip('executorch')
    from lvt_dense.deploy import executorch_program

    x = torch.randn(1, 4, 8, 8)
    info = dict(task='raw')
    content = executorch_program.convert(Windows().eval(), (x,), info)
    found = executorch_program.load(content, ['out'])({'x': x.numpy()})
    np.testing.assert_allclose(found['out'], Windows()(x), atol=1e-6)


class Norms(nn.Module):
    """A convolution of two norms, norms without weights, an empty slice."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.up = nn.ConvTranspose2d(4, 4, 2, 2)
        shared = nn.Conv2d(4, 8, 3, padding=1)
        self.heads = nn.ModuleList(
            nn.Sequential(shared, nn.BatchNorm2d(8)) for _ in range(2)
        )
        self.convs = nn.ModuleList(nn.Conv2d(4, 8, 3) for _ in range(2))
        self.plain = nn.ModuleList(
            nn.BatchNorm2d(8, affine=False) for _ in range(2)
        )
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()
                module.running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = self.up(x)[..., :16, :16]
        found = [head(x) for head in self.heads]
        for conv, norm in zip(self.convs, self.plain):
            y = conv(x)
            found.append(norm(y) * y.mean((2, 3), keepdim=True))
        return tuple(found)


def test_executorch_gives_every_norm_its_own_weights() -> None:
    pytest.importorskip('executorch')
    from lvt_dense.deploy import executorch_program

    x, names = torch.randn(1, 4, 8, 8), ['a', 'b', 'c', 'd']
    with torch.no_grad():
        expected = Norms().eval()(x)
    content = executorch_program.convert(Norms().eval(), (x,), dict(task=''))
    found = executorch_program.load(content, names)({'x': x.numpy()})
    for name, value in zip(names, expected):
        np.testing.assert_allclose(found[name], value, atol=1e-5)


class Suppressing(nn.Module):
    """A graph with an operator of ours."""

    inputs = ('image',)
    outputs = ('keep',)

    def forward(self, image: Tensor) -> Tensor:
        boxes = image[0, :1, :, :4].float().repeat(1, 1, 2)[..., :4]
        scores = boxes[..., 0]
        return torch.ops.lvt_dense.nms_mask(boxes, scores, 0.5)


@pytest.mark.parametrize('kind', ['coreml', 'executorch'])
def test_suppression_is_refused_in_one_line(kind: str) -> None:
    pytest.importorskip({'coreml': 'coremltools'}.get(kind, kind))
    program = importlib.import_module(f'lvt_dense.deploy.{kind}_program')
    image = torch.zeros(1, 32, 64, 3, dtype=torch.uint8)
    text = 'no operator for non-maximum suppression; --raw exports'
    with pytest.raises(UserError, match=text):
        program.convert(
            Suppressing().eval(), (image,), dict(color='rgb', task='detection')
        )


def test_all_operators_are_refused_and_others_pass() -> None:
    with pytest.raises(UserError, match='of 3D boxes and RoIAlign; --raw'):
        refuse_untranslated(
            (f'lvt_dense::{n}' for n in ('pyramid_roi_align', 'greedy_mask')),
            'Core ML',
        )
    refuse_untranslated(['aten::add'], 'Core ML')


class Constants(nn.Module):
    """What coremltools cannot convert by itself, of constants."""

    inputs = ('image',)
    outputs = ('rows', 'table')

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.terms = nn.Parameter(torch.randn(3, 3))
        self.embedding = nn.Parameter(torch.randn(1, 1, 4, 4))

    def rows(self) -> Tensor:
        index = torch.arange(4) // 2
        a, b, c = self.terms
        mixed = torch.addcmul(a, b, torch.linalg.cross(a, c), value=0.5)
        return mixed.index_select(0, index)

    def table(self) -> Tensor:
        return F.interpolate(self.embedding, size=(6, 5), mode='bicubic')

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        x = image[:, :1, :1, 0].float()
        return x + self.rows(), x + self.table()


def test_coreml_computes_constants() -> None:
    pytest.importorskip('coremltools')
    from lvt_dense.deploy import coreml_program

    graph = Constants().eval()
    image = torch.zeros(1, 32, 64, 3, dtype=torch.uint8)
    package = coreml_program.convert(
        graph, (image,), dict(color='rgb', task='raw')
    )
    sums = package._mil_program.functions['main'].find_ops(op_type='add')
    for op, expected in zip(sums, (graph.rows(), graph.table()), strict=True):
        value = op.y.val if op.x.val is None else op.x.val
        np.testing.assert_allclose(value, expected.detach(), atol=1e-6)


def test_coreml_is_a_package_of_known_operators(
    example: tuple[Tensor, ...], tmp_path: Path
) -> None:
    coremltools = pytest.importorskip('coremltools')
    from lvt_dense.deploy import coreml_program

    info: dict[str, Any] = dict(color='rgb', task='raw')
    package = coreml_program.convert(Graph().eval(), example, info, 'fp16')
    out = tmp_path / 'net.mlpackage'
    for _ in range(2):  # the second one replaces the first
        coreml_program.write(package, out)
    model = coremltools.models.MLModel(str(out), skip_model_load=True)
    spec = model.get_spec()
    assert [i.name for i in spec.description.input] == ['image', 'size']
    image = spec.description.input[0].type.imageType
    assert (image.height, image.width) == (32, 64)
    assert [o.name for o in spec.description.output] == ['logits', 'labels']
    stored = json.loads(model.user_defined_metadata['lvt_dense'])
    assert stored['precision'] == 'fp16' and stored['batch'] == 1
    counts = coreml_program.count_operators(model)
    assert counts['conv'] == 1
    other = tmp_path / 'other.mlpackage'
    other.mkdir()
    with pytest.raises(UserError, match='is in the way'):
        coreml_program.write(package, other)


@pytest.mark.parametrize('kind', PACKAGES)
def test_a_missing_package_is_named(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    *others, missing = PACKAGES[kind]
    for name in others:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, missing, None)
    extra = 'export' if kind in ('onnx', 'web') else kind
    with pytest.raises(UserError) as caught:
        require_format(kind, 'fp32')
    assert str(caught.value) == (
        f'this needs {missing}, which is not installed: '
        f'pip install {find_source(extra)}'
    )


@pytest.mark.parametrize('kind', ['coreml', 'executorch', 'ncnn', 'litert'])
def test_any_size_is_refused(kind: str) -> None:
    out = Path(f'a{FORMATS[kind]}')
    check_format(out, kind, 'fp32')
    with pytest.raises(UserError, match='give --size HxW'):
        check_format(out, kind, 'fp32', is_dynamic=True)
