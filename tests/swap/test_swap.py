"""swap_backbone: what it sets, what it drops, what it refuses."""

from pathlib import Path
from typing import Any

import pytest
from helpers.commands import run_command, run_tool
from mmdet.registry import MODELS
from mmengine.config import Config

from lvt_dense import swap_backbone
from lvt_dense.config import load_config
from lvt_dense.swap import write_config
from lvt_dense.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
MASK_RCNN = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
DEEPLAB = (
    'mmseg::deeplabv3plus/deeplabv3plus_r50-d8_4xb2-40k_cityscapes-512x1024'
)


def without_scope(node: Any) -> Any:
    """Without the marks of MMEngine on parts of a 'package::' base."""
    if isinstance(node, dict):
        return {
            key: without_scope(value)
            for key, value in node.items()
            if key != '_scope_'
        }
    if isinstance(node, (list, tuple)):
        return type(node)(map(without_scope, node))
    return node


def test_mask_rcnn_of_the_documentation() -> None:
    cfg = swap_backbone(MASK_RCNN, 'emo_5m', pretrained='net.pth')
    assert cfg.model.backbone == dict(
        type='lvt_dense.EMO',
        arch='5m',
        out_indices=[0, 1, 2, 3],
        frozen_stages=1,
        norm_eval=True,
        init_cfg=dict(type='Pretrained', checkpoint='net.pth'),
    )
    assert cfg.model.neck.in_channels == [48, 72, 160, 288]
    assert cfg.model.roi_head == load_config(MASK_RCNN).model.roi_head


def test_official_weights_of_the_new_backbone() -> None:
    cfg = swap_backbone(MASK_RCNN, 'emo_5m', pretrained='official')
    official = dict(type='Pretrained', checkpoint='official')
    assert cfg.model.backbone.init_cfg == official
    assert cfg.model.backbone.frozen_stages == 1
    with pytest.raises(UserError, match='plg_vit_lw_a has no official'):
        swap_backbone(MASK_RCNN, 'plg_vit_lw_a', pretrained='official')
    cfg = swap_backbone(MASK_RCNN, 'emo_5m', pretrained='none')
    assert 'init_cfg' not in cfg.model.backbone


def test_nothing_is_frozen_without_weights() -> None:
    cfg = swap_backbone(MASK_RCNN, 'mobilevit_xxs')
    assert cfg.model.backbone == dict(
        type='lvt_dense.MobileViT', arch='xxs', out_indices=[0, 1, 2, 3]
    )


def test_images_get_the_norm_of_the_new_weights() -> None:
    cfg = swap_backbone(MASK_RCNN, 'mobilevit_xxs')
    norm = cfg.model.data_preprocessor
    assert (norm.mean, norm.std) == ([0.0] * 3, [255.0] * 3)
    assert norm.bgr_to_rgb is False
    assert norm.pad_mask is True


def test_padding_keeps_its_gray_when_the_norm_changes() -> None:
    cfg = load_config('mmdet::yolox/yolox_s_8xb8-300e_coco')
    cfg.model.data_preprocessor.pad_value = 114.0
    swapped = swap_backbone(cfg, 'mobilevit_xxs')
    assert swapped.model.data_preprocessor.pad_value == 0.447


def test_dilated_network_keeps_its_output_stride() -> None:
    cfg = swap_backbone(DEEPLAB, 'mobilevit_s')
    assert cfg.model.backbone.output_stride == 8
    assert cfg.model.backbone.norm_cfg == dict(type='SyncBN')
    assert cfg.model.decode_head.in_channels == 160
    assert cfg.model.decode_head.c1_in_channels == 64
    assert cfg.model.auxiliary_head.in_channels == 128
    assert cfg.model.pretrained is None


@pytest.mark.parametrize('name', ('plg_vit_lw_r', 't2t_vit_7'))
def test_layer_norms_do_not_become_batch_norms(name: str) -> None:
    assert 'norm_cfg' not in swap_backbone(DEEPLAB, name).model.backbone


def test_dilation_without_a_smaller_stride_changes_no_level() -> None:
    name = (
        'mmseg::fastfcn/fastfcn_r50-d32_jpu_enc_4xb2-80k_cityscapes-512x1024'
    )
    cfg = swap_backbone(name, 'mobilevit_xxs')
    assert cfg.model.backbone.out_indices == [1, 2, 3]
    assert 'output_stride' not in cfg.model.backbone
    assert cfg.model.neck.in_channels == (48, 64, 80)
    # Two levels of the backbone pass the neck unchanged.
    assert cfg.model.decode_head.in_channels == [48, 64, 2048]
    assert cfg.model.auxiliary_head.in_channels == 64


@pytest.mark.parametrize(
    'changes, indices, output_stride',
    [
        (dict(out_indices=(3,)), [3], None),
        (
            dict(
                out_indices=(3,),
                strides=(1, 2, 2, 1),
                dilations=(1, 1, 1, 2),
            ),
            [3],
            16,
        ),
        (
            dict(
                num_stages=3,
                out_indices=(2,),
                strides=(1, 2, 2),
                dilations=(1, 1, 1),
            ),
            [2],
            None,
        ),
    ],
    ids=['C5', 'DC5', 'C4'],
)
def test_single_level_is_found_by_stage_not_by_stride(
    changes: dict, indices: Any, output_stride: Any
) -> None:
    cfg = load_config('mmdet::detr/detr_r50_8xb2-150e_coco')
    cfg.model.backbone.update(changes)
    width = 256 * 2 ** changes['out_indices'][0]
    cfg.model.neck.in_channels = [width]
    new = swap_backbone(cfg, 'mobilevit_xxs').model
    assert new.backbone.out_indices == indices
    assert new.backbone.get('output_stride') == output_stride
    assert new.neck.in_channels == [(24, 48, 64, 80)[indices[0]]]


def test_neck_that_lists_the_deepest_level_first() -> None:
    name = 'mmdet::yolo/yolov3_mobilenetv2_8xb24-320-300e_coco'
    cfg = swap_backbone(name, 'mobilevit_xxs')
    assert cfg.model.backbone.out_indices == [1, 2, 3]
    assert cfg.model.neck.in_channels == [80, 64, 48]


def test_ssd_repeats_the_channels_in_neck_and_head() -> None:
    cfg = swap_backbone('mmdet::ssd/ssd300_coco', 'mobilevit_xxs')
    assert cfg.model.neck.in_channels == (48, 64)
    expected = (48, 64, 512, 256, 256, 256)
    assert cfg.model.neck.out_channels == expected
    assert cfg.model.bbox_head.in_channels == expected
    # mmdet's own head dies at its first validation
    assert cfg.model.bbox_head.type == 'lvt_dense.SSDLiteHead'


def test_other_heads_stay() -> None:
    name = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco'
    head = swap_backbone(name, 'mobilevit_xxs').model.bbox_head
    assert head == load_config(name).model.bbox_head


def test_images_of_four_channels_keep_their_norm() -> None:
    cfg = load_config(MASK_RCNN)
    cfg.model.backbone.in_channels = 4
    cfg.model.data_preprocessor.update(mean=[1.0] * 4, std=[2.0] * 4)
    new = swap_backbone(cfg, 'mobilevit_xxs').model
    assert new.backbone.in_channels == 4
    assert new.data_preprocessor == cfg.model.data_preprocessor


def test_heads_that_read_lists_of_levels() -> None:
    name = 'mmseg::hrnet/fcn_hr18_4xb2-40k_cityscapes-512x1024'
    head = swap_backbone(name, 'mobilevit_xxs').model.decode_head
    assert list(head.in_channels) == [24, 48, 64, 80]
    assert list(head.in_index) == [0, 1, 2, 3]


def test_teacher_stays_as_it_was() -> None:
    name = 'mmdet::lad/lad_r50-paa-r101_fpn_2xb8_coco_1x'
    old, new = load_config(name).model, swap_backbone(name, 'emo_1m').model
    assert new.teacher_backbone == old.teacher_backbone
    assert new.backbone.type == 'lvt_dense.EMO'
    # Both networks see the same images.
    assert new.data_preprocessor == old.data_preprocessor


def test_tracker_swaps_the_detector_inside() -> None:
    name = 'mmdet::qdtrack/qdtrack_faster-rcnn_r50_fpn_4e_base'
    model = swap_backbone(name, 'mobilevit_xxs').model
    assert model.detector.backbone.type == 'lvt_dense.MobileViT'
    assert model.detector.neck.in_channels == [24, 48, 64, 80]
    assert model.detector.init_cfg is None
    assert model.data_preprocessor.std == [255.0] * 3


def test_optimizer_keys_of_the_old_backbone_are_dropped() -> None:
    name = 'mmdet::mask2former/mask2former_swin-t-p4-w7-224_8xb2-lsj-50e_coco'
    cfg = swap_backbone(name, 'mobilevit_xxs')
    assert set(cfg.optim_wrapper.paramwise_cfg.custom_keys) == {
        'backbone',
        'level_embed',
        'query_embed',
        'query_feat',
    }


def test_backbone_of_a_package_that_is_not_installed() -> None:
    name = 'mmdet::convnext/mask-rcnn_convnext-t-p4-w7_fpn_amp-ms-crop-3x_coco'
    cfg = swap_backbone(name, 'mobilevit_xxs')
    assert cfg.model.backbone.out_indices == [0, 1, 2, 3]
    assert cfg.model.neck.in_channels == [24, 48, 64, 80]
    assert cfg.custom_imports is None
    assert cfg.optim_wrapper.constructor == 'DefaultOptimWrapperConstructor'
    assert 'decay_type' not in cfg.optim_wrapper.paramwise_cfg


def test_given_config_is_left_alone() -> None:
    cfg = load_config(MASK_RCNN)
    before = cfg.to_dict()
    swap_backbone(cfg, 'mobilevit_xxs')
    assert cfg.to_dict() == before


@pytest.mark.parametrize(
    'name, part',
    [
        (
            'mmdet::mask_rcnn/mask-rcnn_r50-caffe-c4_1x_coco',
            'model.roi_head.shared_head',
        ),
        (
            'mmdet::cornernet/cornernet_hourglass104_8xb6-210e-mstest_coco',
            'model.backbone',
        ),
        ('mmdet::detectors/cascade-rcnn_r50-rfp_1x_coco', 'model.backbone'),
        (
            'mmseg::unet/unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024',
            'model.backbone',
        ),
        (
            'mmseg::icnet/icnet_r18-d8_4xb2-80k_cityscapes-832x832',
            'model.backbone',
        ),
        ('mmdet::common/ms_3x_coco', 'model'),
    ],
    ids=['C4', 'Hourglass', 'RFP', 'UNet', 'ICNet', 'no model'],
)
def test_refusals_name_the_part_in_one_line(name: str, part: str) -> None:
    with pytest.raises(UserError) as caught:
        swap_backbone(name, 'mobilevit_xxs')
    message = str(caught.value)
    assert part in message
    assert '\n' not in message


def test_misspelled_backbone_gets_a_hint() -> None:
    with pytest.raises(UserError, match='emo_5m'):
        swap_backbone(MASK_RCNN, 'emo_5')


@pytest.mark.parametrize('base', [MASK_RCNN, DEEPLAB])
def test_short_file_loads_to_the_same_config(
    base: str, tmp_path: Path
) -> None:
    cfg = swap_backbone(base, 'mobilevit_xxs')
    out = tmp_path / 'swapped.py'
    write_config(cfg, base, str(out), 'a comment')
    text = out.read_text()
    assert len(text.splitlines()) < 35
    assert without_scope(Config.fromfile(out).to_dict()) == without_scope(
        cfg.to_dict()
    )


def test_short_file_of_a_local_config(tmp_path: Path) -> None:
    base = ROOT / 'configs' / 'retinanet_emo_1m_coco.py'
    cfg = swap_backbone(str(base), 'mobilevit_xxs')
    out = tmp_path / 'new' / 'swapped.py'
    write_config(cfg, str(base), str(out))
    assert Config.fromfile(out).to_dict() == cfg.to_dict()
    with pytest.raises(UserError, match='made from'):
        write_config(cfg, str(base), str(base))


def test_tool_writes_and_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / 'out.py'
    options = ('--backbone', 'emo_1m', '--out', out)
    assert run_tool('swap_backbone', MASK_RCNN, *options) == 0
    assert Config.fromfile(out).model.backbone.arch == '1m'
    name = 'mmdet::common/ms_3x_coco'
    assert run_tool('swap_backbone', name, '--backbone', 'emo_1m') == 2
    said = capsys.readouterr().err.splitlines()
    errors = [line for line in said if 'error' in line]
    assert len(errors) == 1 and 'no model' in errors[0]


OWN_BACKBONE = """
from mmdet.registry import MODELS
from torch import nn


@MODELS.register_module(force=True)
class StemOfFour(nn.Module):
    def __init__(self, depth=3):
        super().__init__()
        self.stages = nn.ModuleList(
            nn.Conv2d(i, o, 3, s, 1)
            for i, o, s in ((3, 16, 4), (16, 32, 2), (32, 64, 2))
        )

    def forward(self, x):
        return tuple(x := stage(x) for stage in self.stages)
"""
OWN_CONFIG = """
custom_imports = dict(imports=['{module}'], allow_failed_imports=False)
default_scope = 'mmdet'
model = dict(
    type='RetinaNet',
    backbone=dict(type='StemOfFour'),
    neck=dict(
        type='FPN', in_channels=[16, 32, 64], out_channels=32, num_outs=5
    ),
    bbox_head=dict(
        type='RetinaHead', num_classes=3, in_channels=32,
        anchor_generator=dict(
            type='AnchorGenerator', octave_base_scale=4,
            scales_per_octave=3, ratios=[1.0], strides=[4, 8, 16, 32, 64],
        ),
    ),
)
"""


def test_backbone_of_ones_own_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three levels, which need not be those that end at stride 32."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / 'stem_of_four.py').write_text(OWN_BACKBONE)
    config, out = tmp_path / 'own.py', tmp_path / 'out.py'
    config.write_text(OWN_CONFIG.format(module='stem_of_four'))
    assert (
        run_command('swap', config, '--backbone', 'emo_1m', '--out', out) == 0
    )
    model = load_config(str(out)).model
    assert model.backbone.out_indices == [0, 1, 2]
    assert model.neck.in_channels == [32, 48, 80]


def test_backbone_that_cannot_be_imported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / 'own.py'
    text = OWN_CONFIG.format(module='no_such_stem')
    config.write_text(text.replace('StemOfFour', 'NoSuchStem'))
    assert run_command('swap', config, '--backbone', 'emo_1m') == 2
    said = capsys.readouterr().err
    assert 'no_such_stem: ModuleNotFoundError: No module named' in said
    assert 'so the strides of its maps are not known' in said


NEW_STYLE = """
from mmdet.models import FPN, DetDataPreprocessor, ResNet, RetinaHead
from mmdet.models import RetinaNet
from mmdet.models.task_modules import AnchorGenerator

default_scope = 'mmdet'
model = dict(
    type=RetinaNet,
    data_preprocessor=dict(type=DetDataPreprocessor),
    backbone=dict(type=ResNet, depth=18, out_indices=(1, 2, 3)),
    neck=dict(
        type=FPN, in_channels=[128, 256, 512], out_channels=32, num_outs=5
    ),
    bbox_head=dict(
        type=RetinaHead, num_classes=80, in_channels=32, feat_channels=32,
        anchor_generator=dict(
            type=AnchorGenerator, octave_base_scale=4, scales_per_octave=3,
            ratios=[1.0], strides=[8, 16, 32, 64, 128],
        ),
    ),
)
"""
CHILD = """
from mmengine.config import read_base

with read_base():
    from .{module} import *

model.update(bbox_head=dict(num_classes=3))
"""


def test_configs_of_the_new_style(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'base.py').write_text(NEW_STYLE)
    config, out = tmp_path / 'child.py', tmp_path / 'out.py'
    config.write_text(CHILD.format(module='base'))
    options = ('--backbone', 'emo_1m', '--out', out)
    assert run_command('swap', config, *options) == 0
    model = MODELS.build(load_config(str(out)).model)
    assert type(model).__name__ == 'RetinaNet'
    assert model.bbox_head.num_classes == 3
    assert type(model.backbone).__name__ == 'EMO'
    config.write_text(CHILD.format(module='nowhere'))
    assert run_command('swap', config, *options) == 2
    assert f'config {config} does not load: ' in capsys.readouterr().err
