"""Whole segmenters in the official layouts.

``data/deeplabv3.json`` was measured with transformers 5.23's
``MobileViTForSemanticSegmentation`` under the weights of ``official.filled``.
"""

import pytest
import torch
from helpers.official import difference, figures, filled, image, official_state
from helpers.official_names import to_official
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from lvt_dense.checkpoints.deeplabv3 import LAYOUTS
from lvt_dense.checkpoints.whole import identify_whole
from lvt_dense.config import load_config

FIGURES = figures('deeplabv3')
XXS = 'deeplabv3_mobilevit_xxs'
HUGGING_FACE_KEYS = FIGURES[XXS]['official_keys']


def segmenter(size: str) -> nn.Module:
    init_default_scope('mmseg')
    cfg = load_config(f'configs/deeplabv3_mobilevit{size}_512_voc12aug.py')
    return MODELS.build(cfg.model).eval()


def load(model: nn.Module, official: dict[str, Tensor]) -> str:
    layout = identify_whole(official)
    own, unknown = layout.to_own(official)
    assert not unknown
    keys = model.load_state_dict(own, strict=False)
    assert not keys.unexpected_keys
    assert all(k.endswith('num_batches_tracked') for k in keys.missing_keys)
    return layout.name


@torch.no_grad()
def logits(model: nn.Module) -> Tensor:
    return model.decode_head(model.backbone(image(96, 128)))


@pytest.mark.parametrize('size', ['_xxs', ''])
def test_hugging_face_file_gives_its_own_logits(size: str) -> None:
    model = segmenter(size)
    if size:
        keys = HUGGING_FACE_KEYS
    else:
        named = to_official(LAYOUTS[1], model.state_dict())
        keys = {key: value.shape for key, value in named.items()}
    assert load(model, official_state(keys)) == 'Hugging Face DeepLabv3'
    expected = FIGURES[XXS if size else 'deeplabv3_mobilevit_s']
    assert difference(logits(model), expected) < 1e-4


def test_cvnets_file_gives_the_same_logits() -> None:
    """Its keys, by the rule by which Hugging Face converted the files."""
    model = segmenter('_xxs')
    own, _ = LAYOUTS[1].to_own(official_state(HUGGING_FACE_KEYS))
    official = to_official(LAYOUTS[0], own)
    for key in (
        'encoder.layer_5.1.global_rep.0.pre_norm_mha.1.qkv_proj.weight',
        'seg_head.aspp.aspp_layer.convs.0.block.conv.weight',
        'seg_head.aspp.aspp_layer.convs.3.block.norm.running_var',
        'seg_head.aspp.aspp_layer.convs.4.aspp_pool.conv_1x1.block.norm.bias',
        'seg_head.aspp.aspp_layer.project.block.conv.weight',
        'seg_head.classifier.classifier.block.conv.bias',
    ):
        assert key in official
    assert load(model, official) == 'cvnets DeepLabv3'
    assert difference(logits(model), FIGURES[XXS]) < 1e-4


def test_other_number_of_classes_does_not_pass_unseen() -> None:
    state = official_state(HUGGING_FACE_KEYS)
    key = 'segmentation_head.classifier.convolution.weight'
    state[key] = filled(key, (150, 256, 1, 1))
    with pytest.raises(RuntimeError, match='conv_seg'):
        load(segmenter('_xxs'), state)
