import pytest
import torch
from mmcv.cnn import ConvModule

from lvt_dense.models.mono3d import AttentiveBN
from lvt_dense.models.mono3d.explicit_gradients import (
    affine,
    moments,
    plain_affine,
    plain_moments,
)


def test_one_pair_with_full_attention_is_ordinary_batch_norm() -> None:
    torch.manual_seed(0)
    norm = AttentiveBN(6, num_affines=1, eps=1e-3)
    with torch.no_grad():
        norm.attention[0].weight.zero_()
        # A hard sigmoid of 3 is 1.
        norm.attention[1].bias.fill_(3.0)
    plain = torch.nn.BatchNorm2d(6, eps=1e-3)
    plain.weight.data = norm.mixed_scale.data[0].clone()
    plain.bias.data = norm.mixed_shift.data[0].clone()
    x = torch.randn(4, 6, 5, 7) * 3 + 1
    assert torch.allclose(norm(x), plain(x), atol=1e-5)


def test_scale_depends_on_the_image() -> None:
    torch.manual_seed(0)
    norm = AttentiveBN(6).eval()
    flat, spread = torch.ones(1, 6, 4, 4), torch.randn(1, 6, 4, 4)
    together = norm(torch.cat((flat, spread)))
    assert torch.allclose(together[:1], norm(flat), atol=1e-6)
    weights = norm.attention(torch.randn(2, 6, 1, 1)).flatten(1)
    assert not torch.allclose(weights[0], weights[1])
    assert weights.min() >= 0 and weights.max() <= 1


def test_one_image_trains() -> None:
    norm = AttentiveBN(6)
    before = norm.attention[1].running_mean.clone()
    norm(torch.randn(1, 6, 4, 4)).square().sum().backward()
    assert norm.mixed_scale.grad.abs().sum() > 0
    assert torch.equal(norm.attention[1].running_mean, before)
    norm(torch.randn(2, 6, 4, 4))
    assert not torch.equal(norm.attention[1].running_mean, before)


@pytest.mark.parametrize('kind', [AttentiveBN, 'lvt_dense.AttentiveBN'])
def test_builds_as_a_norm_of_mmcv(kind: str) -> None:
    conv = ConvModule(3, 8, 3, norm_cfg=dict(type=kind, num_affines=5))
    assert conv.norm.mixed_scale.shape == (5, 8)
    assert conv.conv.bias is None


def test_gradients_are_those_that_autograd_derives() -> None:
    torch.manual_seed(0)
    norm = AttentiveBN(3, num_affines=4)
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    var, mean = torch.var_mean(x, (2, 3), keepdim=True, unbiased=False)
    mixture = norm.attention(mean * (var + norm.eps).rsqrt()).flatten(1)
    scale = (mixture @ norm.mixed_scale)[..., None, None]
    shift = (mixture @ norm.mixed_shift)[..., None, None]
    expected = norm.norm(x) * scale + shift
    target = torch.randn_like(x)
    inputs = (x, *norm.parameters())
    for ours, theirs in zip(
        torch.autograd.grad((norm(x) * target).sum(), inputs),
        torch.autograd.grad((expected * target).sum(), inputs),
    ):
        assert ours.abs().max() > 0
        assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('training', [True, False])
def test_mixed_precision_stays_near_float32(training: bool) -> None:
    torch.manual_seed(0)
    norm = AttentiveBN(6, momentum=0.0).train(training)
    x = torch.randn(4, 6, 8, 8) * 3 + 1
    full = norm(x)
    with torch.autocast('cpu', dtype=torch.bfloat16):
        half = norm(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert (half - full).abs().max() < 0.1 * full.abs().max()
    half.float().square().sum().backward()
    assert norm.mixed_scale.grad.isfinite().all()


def test_written_gradients_are_those_of_the_plain_forms() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 3, 4, 5, requires_grad=True)
    factors = [torch.randn(2, 3, 1, 1, requires_grad=True) for _ in '12']
    for written, plain, inputs in (
        (moments, plain_moments, (x,)),
        (affine, plain_affine, (x, *factors)),
    ):
        outs, expected = written(*inputs), plain(*inputs)
        if written is affine:
            outs, expected = (outs,), (expected,)
        grads = [torch.randn_like(out) for out in outs]
        for a, b in zip(outs, expected):
            assert torch.equal(a, b)
        for a, b in zip(
            torch.autograd.grad(outs, inputs, grads),
            torch.autograd.grad(expected, inputs, grads),
        ):
            assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)


def test_settings_of_the_two_normalizations() -> None:
    norm = AttentiveBN(6)
    assert (norm.norm.eps, norm.norm.momentum) == (1e-3, 0.03)
    # As in the public codes of MonoCon: PyTorch's defaults.
    weights = norm.attention[1]
    assert (weights.eps, weights.momentum) == (1e-5, 0.1)
