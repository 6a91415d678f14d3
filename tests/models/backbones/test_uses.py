"""What people do with a backbone, on the smallest variant of every family.

Other numbers of channels, batches of none, other precisions, tracing,
quantization and export: each holds for a new family without a new test.
"""

import copy
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.backbones import SMALL, difference, images, is_same, normed
from mmcv.cnn.bricks import DropPath
from torch import nn

from lvt_dense.models.backbones import EMO, PyramidBackbone
from lvt_dense.utils.errors import UserError

pytestmark = pytest.mark.filterwarnings('ignore')  # of torch's own tools


@pytest.mark.parametrize('size', ((32, 32), (33, 47), (61, 127), (224, 32)))
def test_odd_and_least_sizes(
    small: PyramidBackbone, size: tuple[int, int]
) -> None:
    with torch.inference_mode():
        levels = small(images(*size))
    assert [tuple(level.shape[2:]) for level in levels] == [
        (-(-size[0] // s), -(-size[1] // s)) for s in small.out_strides
    ]
    assert all(level.isfinite().all() for level in levels)


def test_input_stays_and_levels_are_contiguous(small: PyramidBackbone) -> None:
    x = images(*SMALL)
    before = x.clone()
    with torch.inference_mode():
        levels = small(x)
    assert torch.equal(x, before)
    assert all(level.is_contiguous() for level in levels)


def test_gradients_reach_the_image(small: PyramidBackbone) -> None:
    x = images(*SMALL).requires_grad_()
    small(x)[-1].square().sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    assert x.grad.abs().sum((0, 1)).gt(0).float().mean() > 0.9
    small.zero_grad()


@pytest.mark.parametrize('index', range(4))
def test_no_parameter_is_unused(smallest: Callable, index: int) -> None:
    """As distributed training demands, whatever level is asked for."""
    model = smallest(out_indices=index).eval()
    assert model.out_indices == (index,)
    (level,) = model(images(64, 64))
    generator = torch.Generator().manual_seed(2)
    (level * torch.randn(level.shape, generator=generator)).sum().backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []


def test_state_dict(small: PyramidBackbone, smallest: Callable) -> None:
    state = small.state_dict()
    assert all(key.split('.')[0] in ('stem', 'stages') for key in state)
    twin = smallest()
    twin.load_state_dict(state, strict=True)
    for copied in (copy.deepcopy(small), pickle.loads(pickle.dumps(small))):
        assert is_same(copied.state_dict(), state)
        assert copied.out_channels == small.out_channels


@pytest.mark.parametrize('channels', (1, 4, 6))
def test_other_numbers_of_channels(
    small: PyramidBackbone, smallest: Callable, channels: int, tmp_path: Path
) -> None:
    """Weights for RGB images fit: a gray image gives what its copy gives."""
    rgb = copy.deepcopy(small)
    norm = getattr(rgb.stages[0], 'norm1', None)  # over patches of the image
    if norm is not None:
        nn.init.ones_(norm.weight)
        nn.init.zeros_(norm.bias)
    path = tmp_path / 'rgb.pth'
    torch.save(rgb.state_dict(), path)
    init = dict(type='Pretrained', checkpoint=str(path))
    model = smallest(in_channels=channels, init_cfg=init).eval()
    assert model(images(64, 64, channels=channels))[0].isfinite().all()
    model.init_weights()
    gray = images(*SMALL, channels=1)
    with torch.inference_mode():
        levels = model(gray.expand(-1, channels, -1, -1))
        expected = rgb(gray.expand(-1, 3, -1, -1))
    # Of four channels the first color counts twice.
    assert channels == 4 or difference(levels, expected) < 1e-3


def test_colors_are_repeated_in_order(
    small: PyramidBackbone, smallest: Callable
) -> None:
    model = smallest(in_channels=6)
    adapted = model.adapt_state(small.state_dict())
    for name, axis in model.input_axes().items():
        first, second = adapted[name].chunk(2, axis)
        assert torch.equal(first, second)
        scale = 1 if first.ndim == 1 else 0.5
        assert torch.equal(first, small.state_dict()[name] * scale)


@pytest.mark.parametrize('channels', (0, -1, 2.5, '3'))
def test_wrong_numbers_of_channels(
    smallest: Callable, channels: object
) -> None:
    with pytest.raises(UserError, match='in_channels='):
        smallest(in_channels=channels)


@pytest.mark.parametrize('levels', ({0: 1}, '0', 1.0, None, (0, 1.0), (True,)))
def test_levels_that_are_no_numbers(
    smallest: Callable, levels: object
) -> None:
    with pytest.raises(UserError, match=r'out_indices=.*0 \(stride 4\)'):
        smallest(out_indices=levels)


def test_drop_path(smallest: Callable) -> None:
    rates = [
        module.drop_prob
        for module in smallest(drop_path_rate=0.3, out_indices=-1).modules()
        if isinstance(module, DropPath)
    ]
    assert rates[0] == 0.0
    assert rates == sorted(rates)
    assert rates[-1] == pytest.approx(0.3)
    with pytest.raises(UserError, match='drop_path_rate=1'):
        smallest(drop_path_rate=1)


def test_has_batch_norm(small: PyramidBackbone, smallest: Callable) -> None:
    """SyncBN is given to those alone that have batch norm without it."""
    assert small.has_batch_norm == bool(normed(small))
    if small.has_batch_norm:
        model = smallest(norm_cfg=dict(type='SyncBN'))
        assert all(isinstance(n, nn.SyncBatchNorm) for n in normed(model))


def test_empty_batch(small: PyramidBackbone) -> None:
    with torch.inference_mode():
        levels = small(images(*SMALL)[:0])
        expected = small(images(*SMALL))
    assert [level.shape[1:] for level in levels] == [
        level.shape[1:] for level in expected
    ]
    assert all(level.shape[0] == 0 for level in levels)


def test_double_precision(small: PyramidBackbone) -> None:
    model, x = copy.deepcopy(small).double(), images(*SMALL).double()
    with torch.inference_mode():
        levels = model(x)
        assert all(level.dtype == torch.float64 for level in levels)
        single = tuple(level.double() for level in small(x.float()))
        assert difference(single, levels) < 1e-4


def test_bfloat16_weights(small: PyramidBackbone) -> None:
    model, x = copy.deepcopy(small).bfloat16(), images(*SMALL)
    with torch.inference_mode():
        for level, full in zip(model(x.bfloat16()), small(x)):
            assert level.dtype == torch.bfloat16
            assert (level.float() - full).norm() < 0.1 * full.norm()


def test_trace_fits_other_sizes(small: PyramidBackbone) -> None:
    with torch.no_grad():
        traced = torch.jit.trace(small, images(64, 64), check_trace=False)
        for size in ((64, 64), (97, 65)):
            x = images(*size, batch=2)
            assert difference(traced(x), small(x)) < 1e-4


def test_dynamic_quantization(small: PyramidBackbone) -> None:
    quantized = torch.ao.quantization.quantize_dynamic(copy.deepcopy(small))
    count = sum(type(m) is nn.Linear for m in small.modules())
    left = sum(type(m) is nn.Linear for m in quantized.modules())
    assert left == 0
    assert count or isinstance(small, EMO)  # whose layers are convolutions
    x = images(*SMALL)
    with torch.inference_mode():
        for level, full in zip(quantized(x), small(x)):
            assert (level - full).norm() < 0.1 * full.norm()


@pytest.mark.release
def test_export_to_onnx(small: PyramidBackbone, tmp_path: Path) -> None:
    pytest.importorskip('onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime')
    x = images(*SMALL)
    path = tmp_path / 'backbone.onnx'
    torch.onnx.export(small, (x,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path)
    outs = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    with torch.inference_mode():
        levels = tuple(torch.from_numpy(out) for out in outs)
        assert difference(levels, small(x)) < 1e-4
