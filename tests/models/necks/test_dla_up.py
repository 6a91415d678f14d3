import pytest
import torch
import torch.nn.functional as F

from lvt_dense.models.necks import DLAUp


@pytest.mark.parametrize(
    'channels, millions',
    [
        ((64, 128, 256, 512), 4.00),
        ((48, 96, 240, 384), 2.87),
        ((32, 64, 160, 256), 1.28),
        ((24, 48, 96, 192), 0.57),
    ],
)
def test_size_is_the_published_one(
    channels: tuple[int, ...], millions: float
) -> None:
    parameters = sum(p.numel() for p in DLAUp(channels).parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.006)


@pytest.mark.parametrize('size', [(64, 96), (75, 101), (33, 130)])
def test_any_size_comes_out_at_stride_4(size: tuple[int, int]) -> None:
    shapes = [tuple(-(-side // s) for side in size) for s in (4, 8, 16, 32)]
    channels = (8, 12, 16, 20)
    levels = [torch.randn(2, c, *s) for c, s in zip(channels, shapes)]
    (out,) = DLAUp(channels)(levels)
    assert out.shape == (2, 8, *shapes[0])


def test_every_level_and_every_weight_takes_part() -> None:
    channels = (4, 6, 8, 10)
    levels = [
        torch.randn(2, c, 16 >> i, 24 >> i, requires_grad=True)
        for i, c in enumerate(channels)
    ]
    neck = DLAUp(channels)
    neck(levels)[0].square().sum().backward()
    for tensor in (*levels, *neck.parameters()):
        assert tensor.grad.abs().sum() > 0


def test_inputs_are_left_alone() -> None:
    levels = [torch.randn(2, 4, 16 >> i, 16 >> i) for i in range(4)]
    copies = [level.clone() for level in levels]
    DLAUp((4, 4, 4, 4)).eval()(levels)
    assert all(torch.equal(a, b) for a, b in zip(levels, copies))


def test_upsampling_starts_out_bilinear() -> None:
    up = DLAUp((3, 5)).rounds[0][0].up
    x = torch.randn(1, 3, 6, 7)
    expected = F.interpolate(
        x, scale_factor=2, mode='bilinear', align_corners=False
    )
    inside = (..., slice(1, -1), slice(1, -1))
    assert torch.allclose(up(x)[inside], expected[inside], atol=1e-6)
