"""Attention mapped back to the image, for all families."""

import pytest
import torch

from lvt_dense.explain.attention import by_stride, watch_attention
from lvt_dense.explain.similarity import (
    diagonal_similarity,
    has_variants,
    without_part,
)
from lvt_dense.models.backbones import build_backbone

NAMES = (
    'mobilevit_xxs',
    'emo_1m',
    'emov2_1m',
    'nasvit_t1',
    'plg_vit_lw_r',
    't2t_vit_7',
)
SIZE = (72, 104)


@pytest.mark.parametrize('name', NAMES)
def test_weights_sum_to_one(name: str) -> None:
    torch.manual_seed(0)
    backbone = build_backbone(name).eval()
    looks = watch_attention(backbone, torch.randn(1, 3, *SIZE), (0.9, 0.6))
    assert len(looks) > 3
    for look in looks:
        assert (look.heat >= 0).all()
        assert float(look.heat.sum()) + look.elsewhere == pytest.approx(1)
        assert look.heat.max() > 0
    maps = by_stride(looks, SIZE)
    assert all(float(m.sum()) == pytest.approx(1) for m in maps.values())


def test_watching_changes_nothing() -> None:
    backbone = build_backbone('plg_vit_lw_r').eval()
    image = torch.randn(1, 3, *SIZE)
    with torch.no_grad():
        before = backbone(image)
    watch_attention(backbone, image, (0.5, 0.5))
    with torch.no_grad():
        after = backbone(image)
    for a, b in zip(before, after):
        torch.testing.assert_close(a, b)


def test_mobilevit_looks_at_every_second_pixel() -> None:
    backbone = build_backbone('mobilevit_xxs').eval()
    looks = watch_attention(backbone, torch.randn(1, 3, 64, 64), (0.4, 0.7))
    heat = looks[0].heat  # 8 x 8 at stride 8
    assert heat.shape == (8, 8)
    rows, columns = heat.nonzero().T
    assert set((rows % 2).tolist()) == {int(0.7 * 8) % 2}
    assert set((columns % 2).tolist()) == {int(0.4 * 8) % 2}
    assert len(rows) == 16


def test_plg_vit_looks_inside_its_window_and_everywhere() -> None:
    backbone = build_backbone('plg_vit_lw_r').eval()
    looks = watch_attention(backbone, torch.randn(1, 3, 64, 64), (0.9, 0.1))
    near, far = looks[0].heat, looks[1].heat
    rows, columns = near.nonzero().T  # 16 x 16 at stride 4, windows of 7
    assert rows.max() < 7
    assert columns.min() == 14
    assert looks[0].elsewhere > 0  # the last windows are padded
    assert far.shape == (7, 7) and (far > 0).all()


def test_emov2_looks_near_and_far() -> None:
    backbone = build_backbone('emov2_1m', window_size=3).eval()
    looks = watch_attention(backbone, torch.randn(1, 3, 80, 80), (0.1, 0.9))
    remote, near = (look.heat for look in looks[:2])  # 5 x 5 at stride 16
    rows, columns = near.nonzero().T
    assert rows.min() == 3 and columns.max() == 2
    rows, columns = remote.nonzero().T
    assert set(rows.tolist()) == {0, 2, 4} and set(columns.tolist()) == {
        *(0, 2, 4)
    }
    assert looks[0].elsewhere == pytest.approx(0, abs=1e-6)
    assert looks[1].elsewhere > 0  # 5 x 5 is padded to 6 x 6


def test_the_weights_are_those_of_the_layer() -> None:
    """What is shown, times the values, is what the layer gives."""
    backbone = build_backbone('emo_1m', window_size=0).eval()
    seen = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def spy(query, key, value, *args, **kw):  # noqa: ANN001, ANN002, ANN003, ANN202
        out = plain(query, key, value, *args, **kw)
        seen.append((value, out))
        return out

    image = torch.randn(1, 3, 64, 64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('torch.nn.functional.scaled_dot_product_attention', spy)
        looks = watch_attention(backbone, image, (0.0, 0.0))
    value, out = seen[0]
    if value.shape[1] == 1:  # one head: no mean
        expected = looks[0].heat.flatten() @ value[0, 0]
        torch.testing.assert_close(expected, out[0, 0, 0])
    else:
        same = value.mean(1, keepdim=True).expand_as(value)[0, 0]
        assert same.shape[0] == looks[0].heat.numel()


def test_similarity() -> None:
    torch.manual_seed(0)
    level = torch.randn(1, 16, 6, 9)
    found = diagonal_similarity(level)
    assert found.shape == (6, 6)
    torch.testing.assert_close(found.diag(), torch.ones(6))
    torch.testing.assert_close(found, found.T)
    a, b = level[0, :, 0, 0], level[0, :, 5, 8]
    torch.testing.assert_close(
        found[0, 5], torch.cosine_similarity(a, b, dim=0)
    )


def test_parts_of_emo_can_be_switched_off() -> None:
    torch.manual_seed(0)
    backbone = build_backbone('emo_1m').eval()
    assert has_variants(backbone)
    assert not has_variants(build_backbone('mobilevit_xxs'))
    image = torch.randn(1, 3, 64, 64)
    outs = {}
    for variant in ('both', 'convolution alone', 'attention alone', 'both '):
        with torch.no_grad(), without_part(backbone, variant.strip()):
            outs[variant] = backbone(image)[-1]
    torch.testing.assert_close(outs['both'], outs['both '])
    assert (outs['both'] - outs['convolution alone']).abs().max() > 1e-4
    assert (outs['both'] - outs['attention alone']).abs().max() > 1e-4
