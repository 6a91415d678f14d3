import pytest
import torch

from lvt_dense.models.backbones import PlainT2TViT
from lvt_dense.models.necks import SimpleFPN


@pytest.mark.parametrize('channels', [16, (16,), (16, 24, 32, 40)])
@pytest.mark.parametrize('num_outs', [4, 6])
def test_strides_double_from_4(
    channels: int | tuple[int, ...], num_outs: int
) -> None:
    given = (channels,) if isinstance(channels, int) else channels
    maps = [torch.randn(2, c, 3, 5) for c in given]
    outs = SimpleFPN(channels, 8, num_outs)(maps)
    sizes = [(12, 20), (6, 10), (3, 5), (2, 3), (1, 2), (1, 1)]
    assert [out.shape for out in outs] == [
        (2, 8, *size) for size in sizes[:num_outs]
    ]


def test_size_is_that_of_the_paper() -> None:
    """Appendix A.2, by hand: deconvolutions, 1x1, 3x3 and their norms."""
    c, d = 32, 8
    up4 = (c * c // 2 * 4 + c // 2) + c + (c // 2 * c // 4 * 4 + c // 4)
    up2 = c * c // 2 * 4 + c // 2
    widths = (c // 4, c // 2, c, c)
    lateral = sum(w * d + 2 * d + 9 * d * d + 2 * d for w in widths)
    neck = SimpleFPN((c,), d)
    assert sum(p.numel() for p in neck.parameters()) == up4 + up2 + lateral


def test_each_of_four_maps_feeds_its_own_level() -> None:
    channels = (8, 12, 16, 20)
    maps = [torch.randn(1, c, 4, 4, requires_grad=True) for c in channels]
    outs = SimpleFPN(channels, 8, 4)(maps)
    for level, out in enumerate(outs):
        weights = torch.randn_like(out)
        grads = torch.autograd.grad(
            (out * weights).sum(), maps, allow_unused=True, retain_graph=True
        )
        reached = [g is not None and bool(g.any()) for g in grads]
        assert reached == [index == level for index in range(4)]


def test_one_map_feeds_every_level_and_every_weight_takes_part() -> None:
    x = torch.randn(1, 16, 4, 4, requires_grad=True)
    neck = SimpleFPN((16,), 8)
    outs = neck((x,))
    for out in outs[:4]:
        weights = torch.randn_like(out)
        (grad,) = torch.autograd.grad(
            (out * weights).sum(), x, retain_graph=True
        )
        assert grad.any()
    sum((out * torch.randn_like(out)).sum() for out in outs).backward()
    assert all(p.grad.any() for p in neck.parameters())


def test_levels_are_normed_and_the_coarsest_is_subsampled() -> None:
    outs = SimpleFPN((16,), 64)((torch.randn(1, 16, 6, 6),))
    for out in outs:
        means = out.mean(1)
        assert torch.allclose(means, torch.zeros_like(means), atol=1e-5)
    assert torch.equal(outs[4], outs[3][..., ::2, ::2])


def test_takes_the_maps_of_a_backbone() -> None:
    backbone = PlainT2TViT('7').eval()
    neck = SimpleFPN(backbone.out_channels, 16)
    with torch.no_grad():
        outs = neck(backbone(torch.randn(1, 3, 64, 96)))
    assert [tuple(out.shape[2:]) for out in outs] == [
        (16, 24),
        (8, 12),
        (4, 6),
        (2, 3),
        (1, 2),
    ]


def test_wrong_arguments_name_the_right_ones() -> None:
    with pytest.raises(ValueError, match='one map or of 4'):
        SimpleFPN((8, 8))
    with pytest.raises(ValueError, match='num_outs=3; give 4 or more'):
        SimpleFPN((8,), num_outs=3)
