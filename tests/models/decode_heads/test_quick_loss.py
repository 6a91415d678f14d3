"""The quick loss of decode heads is MMSegmentation's loss."""

import copy

import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample
from torch.nn import functional as F

from lvt_dense.models.decode_heads.quick_loss import QuickLoss
from lvt_dense.models.layers.resize import enlarge

CLASSES = 5
HEADS = dict(
    ASPPHead=dict(in_index=1, in_channels=8, dilations=(1, 2)),
    PSPHead=dict(in_index=1, in_channels=8, pool_scales=(1, 2)),
    FCNHead=dict(in_index=1, in_channels=8, num_convs=1),
    FPNHead=dict(
        in_index=[0, 1],
        in_channels=[8, 8],
        feature_strides=[1, 2],
    ),
    UPerHead=dict(in_index=[0, 1], in_channels=[8, 8], pool_scales=(1, 2)),
    SegformerHead=dict(in_index=[0, 1], in_channels=[8, 8]),
)
CRITERIA = [
    dict(type='mmseg.CrossEntropyLoss', loss_name='loss_ce'),
    dict(type='mmseg.DiceLoss', loss_name='loss_dice'),
    dict(type='mmseg.CrossEntropyLoss', loss_name='loss_ce', loss_weight=0.3),
]


def samples(size: tuple[int, int]) -> list[SegDataSample]:
    found = []
    for _ in range(2):
        labels = torch.randint(0, CLASSES, (1, *size))
        labels[torch.rand(labels.shape) < 0.2] = 255
        found.append(SegDataSample(gt_sem_seg=PixelData(data=labels)))
    return found


def build(scope: str, name: str, **kwargs: object) -> torch.nn.Module:
    settings = dict(
        HEADS[name],
        channels=8,
        num_classes=CLASSES,
        dropout_ratio=0,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=CRITERIA,
    )
    settings.update(kwargs)
    return MODELS.build(dict(type=f'{scope}.{name}', **settings)).double()


@pytest.mark.parametrize('name', HEADS)
def test_losses_and_gradients_are_those_of_mmseg(name: str) -> None:
    torch.manual_seed(0)
    sampler = dict(type='mmseg.OHEMPixelSampler', thresh=0.7, min_kept=100)
    options = {}
    if name == 'FCNHead':  # pixels weighted: not for the Dice loss
        options = dict(sampler=sampler, loss_decode=CRITERIA[::2])
    quick = build('lvt_dense', name, **options)
    assert isinstance(quick, QuickLoss)
    plain = build('mmseg', name, **options)
    plain.load_state_dict(quick.state_dict())
    maps = [torch.rand(2, 8, s, s + 1).double() for s in (6, 3)]
    labels = samples((49, 65))  # factors of at least 8
    found = []
    for head in (quick, plain):
        levels = [level.clone().requires_grad_() for level in maps]
        losses = head.loss_by_feat(head(levels), copy.deepcopy(labels))
        sum(v for k, v in losses.items() if 'loss' in k).backward()
        used = [level for level in levels if level.grad is not None]
        gradients = [level.grad for level in used]
        gradients += [p.grad for p in head.parameters() if p.grad is not None]
        found.append((losses, gradients))
    (losses, gradients), (expected, expected_gradients) = found
    assert losses.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(
            losses[key].reshape(-1), value.reshape(-1), check_dtype=False
        )
    assert len(gradients) == len(expected_gradients) > 1
    for one, other in zip(gradients, expected_gradients):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


def test_accuracy_at_each_tenth_step() -> None:
    head = build('lvt_dense', 'FCNHead')
    labels = samples((8, 8))
    logits = torch.rand(2, CLASSES, 2, 2).double()
    has = ['acc_seg' in head.loss_by_feat(logits, labels) for _ in range(21)]
    assert [i for i, flag in enumerate(has) if flag] == [0, 10, 20]


@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('factor', [2, 8, 32])
def test_enlarged_maps(factor: int, align_corners: bool) -> None:
    torch.manual_seed(0)
    size = 3 * factor + 1, 4 * factor
    grad = torch.rand(2, 3, *size)
    found = []
    for function in (enlarge, _interpolate):
        x = torch.rand(2, 3, 3, 4, generator=torch.Generator().manual_seed(1))
        x.requires_grad_()
        y = function(x, size, align_corners)
        y.backward(grad / grad.numel())
        found.append((y, x.grad))
    for one, other in zip(*found):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


def _interpolate(
    x: torch.Tensor, size: tuple[int, int], align_corners: bool
) -> torch.Tensor:
    return F.interpolate(
        x, size=size, mode='bilinear', align_corners=align_corners
    )
