"""Whole detectors in the official layout."""

import pytest
import torch
from helpers.official import filled
from helpers.official_names import rename, to_official
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from lvt_dense.checkpoints.ssdlite import LAYOUTS
from lvt_dense.checkpoints.whole import identify_whole
from lvt_dense.config import load_config

CONFIG = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'


@pytest.fixture(scope='module')
def detector() -> nn.Module:
    init_default_scope('mmdet')
    return MODELS.build(load_config(CONFIG).model).eval()


@pytest.fixture(scope='module')
def official(detector: nn.Module) -> dict[str, Tensor]:
    """An official detector file: its own key names, rows in its own order."""
    # The rows of our own predictions are named in our order, so only keys
    # are taken from the converter here; the values are filled by key.
    renamed = rename(LAYOUTS[0], detector.state_dict())
    return {
        key: filled(key, value.shape)
        for key, value in renamed.items()
        if not key.endswith('num_batches_tracked')
    }


def test_keys_are_those_of_the_official_detector(
    official: dict[str, Tensor],
) -> None:
    assert 'encoder.layer_5.1.fusion.block.conv.weight' in official
    assert 'extra_layers.os_128.pw_conv.block.norm.running_var' in official
    assert official['extra_layers.os_-1.1.block.conv.weight'].shape[0] == 64
    assert official[
        'ssd_heads.0.loc_cls_layer.pw_conv.block.conv.bias'
    ].shape == (510,)
    assert official['ssd_heads.5.loc_cls_layer.block.conv.weight'].shape == (
        340,
        64,
        1,
        1,
    )
    assert 'ssd_heads.2.proj_layer.block.conv.weight' not in official


def test_converted_file_loads_strictly_and_keeps_every_score(
    detector: nn.Module, official: dict[str, Tensor]
) -> None:
    layout = identify_whole(official)
    own, unknown = layout.to_own(official)
    assert not unknown
    keys = detector.load_state_dict(own, strict=False)
    assert not keys.unexpected_keys
    assert all(k.endswith('num_batches_tracked') for k in keys.missing_keys)

    bias = official['ssd_heads.5.loc_cls_layer.block.conv.bias']
    feature = [torch.zeros(1, c, 1, 1) for c in (64, 80, 256, 128, 128, 64)]
    with torch.no_grad():
        scores, boxes = detector.bbox_head(feature)
    anchors = bias.view(4, 85)
    assert torch.equal(boxes[5].view(4, 4), anchors[:, :4])
    found = scores[5].view(4, 81)
    assert torch.equal(found[:, 80], anchors[:, 4])  # background, first there
    assert torch.equal(found[:, :80], anchors[:, 5:])


def test_round_trip(official: dict[str, Tensor]) -> None:
    own, _ = LAYOUTS[0].to_own(official)
    back = to_official(LAYOUTS[0], own)
    assert back.keys() == official.keys()
    assert all(torch.equal(back[key], official[key]) for key in official)
