"""Outputs of heads, moved from one set of classes to another."""

from typing import Any

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.datasets.own.heads import set_num_classes
from lvt_dense.engine.class_rows import (
    RowLayout,
    find_layouts,
    pair_classes,
)
from lvt_dense.engine.start import Start

OLD = ('person', 'traffic light', 'cat', 'car', 'dog')
NEW = ('Car', 'raccoon', 'traffic_light')


# ---------------------------------------------------------------------- names
def test_names_are_compared_without_case_and_spaces() -> None:
    assert pair_classes(OLD, NEW) == [(3, 0), (1, 2)]
    assert pair_classes(['a b', 'AB'], ['ab', 'a_b']) == [(0, 0)]
    assert pair_classes([], NEW) == []


# ----------------------------------------------------------------------- rows
def column(*values: float) -> Tensor:
    return torch.tensor(values)


@pytest.mark.parametrize(
    ('layout', 'old', 'new', 'expected'),
    (
        # two anchors of three and of two classes, and the background
        (
            RowLayout(2, after=1),
            column(0, 1, 2, 9, 10, 11, 12, 19),
            column(-1, -2, -3, -4, -5, -6),
            column(2, -2, 9, 12, -5, 19),
        ),
        (
            RowLayout(2),
            column(0, 1, 2, 10, 11, 12),
            column(-1, -2, -3, -4),
            column(2, -2, 12, -4),
        ),
        # ml-cvnets' order: the values of a box come first
        (
            RowLayout(1, before=4, after=1),
            column(50, 51, 52, 53, 0, 1, 2, 9),
            column(-1, -2, -3, -4, -5, -6, -7),
            column(50, 51, 52, 53, 2, -6, 9),
        ),
        # the four values of a box of each class
        (
            RowLayout(block=4),
            column(*range(12)),
            -column(*range(1, 9)),
            column(8, 9, 10, 11, -5, -6, -7, -8),
        ),
        (RowLayout(), column(0, 1, 2), column(-1, -2), column(2, -2)),
    ),
)
def test_rows_by_hand(
    layout: RowLayout, old: Tensor, new: Tensor, expected: Tensor
) -> None:
    """The third class of the old model is the first one of the new model."""
    before = new.clone()
    moved = layout.copy_rows(old, new, [(2, 0)])
    assert moved is not None and moved.tolist() == expected.tolist()
    assert torch.equal(new, before)
    assert layout.count_rows(3) == len(old)
    assert layout.count_classes(len(old)) == 3
    wide = torch.stack([old, 2 * old], 1)
    moved = layout.copy_rows(wide, torch.stack([new, new], 1), [(2, 0)])
    assert moved is not None and torch.equal(moved[:, 0], expected)


def test_rows_of_another_layout() -> None:
    layout = RowLayout(2, after=1)
    assert layout.count_classes(7) is None
    assert layout.count_classes(2) == 0
    assert layout.copy_rows(torch.zeros(7), torch.zeros(6), []) is None
    assert layout.copy_rows(torch.zeros(8, 3), torch.zeros(6, 2), []) is None


# ---------------------------------------------------------------------- heads
def build(name: str, classes: int) -> tuple[dict, nn.Module]:
    cfg = load_config(f'lvt_dense::{name}.py')
    init_default_scope(cfg.default_scope)
    set_num_classes(cfg.model, classes, cfg.default_scope)
    for part in (cfg.model.backbone, *cfg.model.get('init_cfg', [])):
        part['init_cfg'] = None
    model = MODELS.build(cfg.model)
    model.init_weights()
    return cfg, model.double().eval()


def scores(model: nn.Module, image: Tensor) -> list[Tensor]:
    """Logits of a model, (N, C, ...) with all anchors in the rest."""
    found: Any = model.extract_feat(image)
    if hasattr(model, 'decode_head'):
        return [model.decode_head.forward(found)]
    if hasattr(model, 'roi_head'):
        box = model.roi_head.bbox_head
        features = torch.linspace(-1, 1, 2 * box.in_channels * 49).double()
        logits, deltas = box(features.view(2, -1, 7, 7))
        masks = model.roi_head.mask_head(
            torch.linspace(-1, 1, 2 * 256 * 196).double().view(2, 256, 14, 14)
        )
        deltas = deltas.view(2, -1, 4)
        return [logits[:, : box.num_classes], deltas, masks]
    head = model.bbox_head
    if hasattr(head, 'branches'):
        return [head.branches['heatmap'](found[0])]
    width = head.cls_out_channels
    levels = head(found)[0]
    return [
        x.unflatten(1, (-1, width)).transpose(1, 2)[:, : head.num_classes]
        for x in levels
    ]


@pytest.mark.parametrize(
    'name',
    (
        'ssdlite_mobilevit_xxs_320_coco',
        'ssdlite_emo_1m_320_coco',
        'retinanet_emo_1m_coco',
        'rtmdet_emo_1m_coco',
        'mask_rcnn_emo_coco',
        'deeplabv3_mobilevit_xxs_512_voc12aug',
        'monocon_mobilevit_xxs_kitti',
    ),
)
def test_kept_classes_keep_their_scores(name: str) -> None:
    import_stack()
    torch.manual_seed(0)
    _, old = build(name, len(OLD))
    with torch.no_grad():
        for parameter in old.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    cfg, new = build(name, len(NEW))
    fresh = {k: v.clone() for k, v in new.state_dict().items()}
    _, layouts = find_layouts(cfg.model, cfg.default_scope, len(NEW))
    assert layouts and None not in layouts.values()
    pairs = pair_classes(OLD, NEW)
    start = Start(path='x', layouts=layouts, pairs=pairs)
    given = start.adapt(old.state_dict(), new)
    assert given.keys() == new.state_dict().keys()
    new.load_state_dict(given)
    image = torch.randn(1, 3, 96, 128, dtype=torch.float64)
    with torch.no_grad():
        before, after = scores(old, image), scores(new, image)
    for one, other in zip(before, after):
        assert one.shape[1] == len(OLD) and other.shape[1] == len(NEW)
        for theirs, ours in pairs:
            assert (one[:, theirs] - other[:, ours]).abs().max() < 1e-6
        assert not torch.allclose(one[:, 0], other[:, 1])
    # the new class starts as the head initializes it
    for key, layout in layouts.items():
        assert layout is not None
        first = layout.before + layout.block
        rows = slice(first, first + layout.block)
        groups = (layout.groups, -1)
        assert torch.equal(
            new.state_dict()[key].unflatten(0, groups)[:, rows],
            fresh[key].unflatten(0, groups)[:, rows],
        )


def test_a_single_output_for_two_classes_is_not_understood() -> None:
    import_stack()
    cfg = load_config('lvt_dense::deeplabv3_mobilevit_xxs_512_voc12aug.py')
    cfg.model.decode_head.update(num_classes=2, out_channels=1)
    _, layouts = find_layouts(cfg.model, cfg.default_scope, 2)
    assert set(layouts.values()) == {None}
