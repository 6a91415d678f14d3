"""Networks of timm in the place of the backbones of others."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.commands import run_command
from helpers.optional import is_importable
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope

from lvt_dense import swap_backbone
from lvt_dense.config import load_config
from lvt_dense.swap import backbone_slot
from lvt_dense.utils.errors import UserError

if not is_importable('timm'):
    pytest.skip('timm cannot be imported', allow_module_level=True)

RETINANET = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'
SSDLITE = 'mmdet::ssd/ssdlite_mobilenetv2-scratch_8xb24-600e_coco.py'
DEEPLAB = 'mmseg::deeplabv3/deeplabv3_r50-d8_4xb4-80k_ade20k-512x512.py'


def build(cfg: Config) -> None:
    for node in walk(cfg.model):
        node.pop('init_cfg', None)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        MODELS.build(cfg.model)


def walk(node: object) -> Iterator[dict]:
    if isinstance(node, dict):
        yield node
        for value in list(node.values()):
            yield from walk(value)


def test_a_pyramid() -> None:
    cfg = swap_backbone(
        RETINANET, 'timm:fastvit_t8.apple_in1k', pretrained='official'
    )
    assert cfg.model.backbone == dict(
        type='lvt_dense.Timm',
        arch='fastvit_t8.apple_in1k',
        out_indices=[0, 1, 2, 3],
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='official'),
    )
    assert cfg.model.neck.in_channels == [48, 96, 192, 384]
    build(cfg)


def test_images_are_those_of_the_network() -> None:
    norm = swap_backbone(RETINANET, 'timm:mobilevit_xxs').model
    assert norm.data_preprocessor.mean == [0.0, 0.0, 0.0]
    assert norm.data_preprocessor.std == [255.0, 255.0, 255.0]
    assert norm.data_preprocessor.bgr_to_rgb


def test_output_stride_or_a_line_that_there_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        backbone_slot, 'print_log', lambda line, **_: told.append(line)
    )
    cfg = swap_backbone(DEEPLAB, 'timm:mobilenetv4_conv_small')
    assert cfg.model.backbone.output_stride == 8
    assert cfg.model.backbone.norm_cfg == dict(type='SyncBN')
    cfg = swap_backbone(DEEPLAB, 'timm:repvit_m0_9')
    assert 'output_stride' not in cfg.model.backbone
    assert cfg.model.decode_head.in_channels == 384
    assert told == [
        'Timm repvit_m0_9 has no output stride 8: model.backbone returns maps '
        'of strides 4, 8, 16, 32 now, not 4, 8, 8, 8'
    ]


def test_one_stride_through_a_simple_fpn() -> None:
    cfg = swap_backbone(RETINANET, 'timm:vit_tiny_patch16_224')
    simple, fpn = cfg.model.neck
    assert simple == dict(
        type='lvt_dense.SimpleFPN',
        in_channels=[192] * 4,
        out_channels=256,
        num_outs=4,
    )
    assert fpn.in_channels == [256] * 4
    build(cfg)
    cfg = swap_backbone(SSDLITE, 'timm:vit_tiny_patch16_224')
    assert cfg.model.neck[0].out_indices == [2, 3]
    assert cfg.model.neck[1].in_channels == (256, 256)
    build(cfg)
    cfg = swap_backbone(DEEPLAB, 'timm:vit_tiny_patch16_224')
    assert cfg.model.neck.type == 'lvt_dense.SimpleFPN'
    assert cfg.model.decode_head.in_channels == 256
    build(cfg)


def test_what_cannot_be_swapped_says_why() -> None:
    with pytest.raises(UserError, match='img_size=.480, 640'):
        swap_backbone(RETINANET, 'timm:coatnet_nano_rw_224')
    with pytest.raises(UserError, match='strides 16, 32, 64'):
        swap_backbone(RETINANET, 'timm:shvit_s1')
    with pytest.raises(UserError, match='did you mean'):
        swap_backbone(RETINANET, 'timm:repvit_m09')


def test_command(tmp_path: Path) -> None:
    out = tmp_path / 'retinanet.py'
    args = ('--backbone', 'timm:resnet10t', '--out', str(out))
    assert run_command('swap', RETINANET, *args) == 0
    assert load_config(str(out)).model.backbone.arch == 'resnet10t'
