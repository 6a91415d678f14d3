"""Operators of single heads against plain loops, with gradients."""

import pytest
import torch
from helpers import plain_ops
from helpers.gradients import assert_same_with_gradients
from mmcv.ops import (
    PSAMask,
    carafe,
    carafe_naive,
    deform_roi_pool,
    masked_conv2d,
    roi_align,
    roi_pool,
)
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction
from torch.nn import functional as F

from lvt_dense.ops import carafe as carafe_module
from lvt_dense.ops import deform_roi_pool as deform_module
from lvt_dense.ops import ms_deform_attn

pytestmark = pytest.mark.usefixtures('pure_ops')


@pytest.mark.parametrize('kind', ['collect', 'distribute'])
@pytest.mark.parametrize('size', [(3, 5), (7, 5), (4, 2)])
def test_psa_mask(kind: str, size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    masks = torch.randn(2, size[0] * size[1], 4, 3, requires_grad=True)
    found = PSAMask(kind, size)(masks)
    assert_same_with_gradients(
        found, plain_ops.psa_mask(masks, kind, size), [masks]
    )


@pytest.mark.parametrize('groups', [1, 2])
@pytest.mark.parametrize('scale', [1, 2])
def test_carafe(
    groups: int, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(carafe_module, '_MAX_ENTRIES', 150)
    x = torch.randn(2, 4, 3, 4, requires_grad=True)
    masks = torch.rand(2, 9 * groups, 3 * scale, 4 * scale, requires_grad=True)
    found = carafe(x, masks, 3, groups, scale)
    expected = plain_ops.carafe(x, masks, 3, groups, scale)
    assert_same_with_gradients(found, expected, [x, masks])
    naive = carafe_naive(x, masks, 3, groups, scale)
    torch.testing.assert_close(naive, found)


def test_deform_attention(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    sizes = [(4, 3), (2, 2)]
    value = torch.randn(2, 16, 2, 3, requires_grad=True)
    locations = (torch.rand(2, 3, 2, 2, 2, 2) * 1.4 - 0.2).requires_grad_()
    weights = torch.rand(2, 3, 2, 2, 2, requires_grad=True)
    monkeypatch.setattr(ms_deform_attn, '_MAX_ENTRIES', 70)
    found = MultiScaleDeformableAttnFunction.apply(
        value,
        torch.tensor(sizes),
        torch.tensor([0, 12]),
        locations,
        weights,
        64,
    )
    expected = plain_ops.deform_attention(value, sizes, locations, weights)
    assert_same_with_gradients(found, expected, [value, locations, weights])


@pytest.mark.parametrize('bins', [(2, 2), (3, 1)])
def test_roi_pool(bins: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 8, 9, requires_grad=True)
    corner = torch.rand(6, 2) * 24 - 6
    rois = torch.cat([corner, corner + torch.rand(6, 2) * 14], 1)
    rois[0, 2:] = rois[0, :2] - 3  # a negative size: zeros
    rois = torch.cat([torch.randint(2, (6, 1)).float(), rois], 1)
    found = roi_pool(maps, rois, bins, 0.5)
    assert_same_with_gradients(
        found, plain_ops.roi_pool(maps, rois, bins, 0.5), [maps]
    )
    assert not found[0].any()


@pytest.mark.parametrize('ratio', [0, 2])
def test_deform_roi_pool(ratio: int, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(deform_module, '_MAX_ENTRIES', 100)
    maps = torch.randn(2, 2, 7, 8, requires_grad=True)
    offset = torch.randn(3, 2, 2, 3, requires_grad=True)
    corner = torch.rand(3, 2) * 10
    rois = torch.cat([corner, corner + torch.rand(3, 2) * 9 + 1], 1)
    rois = torch.cat([torch.tensor([[0.0], [1], [0]]), rois], 1)
    found = deform_roi_pool(maps, rois, offset, (2, 3), 0.5, ratio, 0.3)
    expected = plain_ops.deform_roi_pool(maps, rois, offset, 0.5, ratio, 0.3)
    assert_same_with_gradients(found, expected, [maps, offset])


def test_deform_roi_pool_without_offsets() -> None:
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 7, 8, requires_grad=True)
    rois = torch.tensor([[0, 1.0, 2, 9, 11], [0, 3, 0, 12, 5]])
    found = deform_roi_pool(maps, rois, None, (2, 2), 0.5, 0, 0.1)
    assert_same_with_gradients(
        found, roi_align(maps, rois, (2, 2), 0.5), [maps]
    )


def test_masked_conv() -> None:
    torch.manual_seed(0)
    x, weight = torch.randn(1, 4, 5, 6), torch.randn(3, 4, 3, 3)
    bias = torch.randn(3)
    mask = (torch.rand(1, 5, 6) > 0.5).float()
    found = masked_conv2d(x, mask, weight, bias, 1)
    expected = F.conv2d(x, weight, bias, padding=1) * mask
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_masked_conv_with_an_empty_mask() -> None:
    x, weight = torch.ones(1, 1, 3, 3), torch.ones(1, 1, 3, 3)
    bias = torch.ones(1)
    assert not masked_conv2d(x, torch.zeros(1, 3, 3), weight, bias, 1).any()
