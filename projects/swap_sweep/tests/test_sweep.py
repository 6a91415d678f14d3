"""The sweep: a sample of the shipped configs, verdicts, resuming, tables."""

import csv
import json
from pathlib import Path
from typing import NoReturn

import pytest
import torch
from mmengine.config import Config
from swap_sweep import sweep as sweeping
from swap_sweep.trial import try_model

from lvt_dense import swap_backbone
from lvt_dense.utils.errors import UserError

# One for every kind of reader, with backbones of all families.
DETECTORS = {
    'atss/atss_r50_fpn_1x_coco': 'emo_1m',
    'cascade_rpn/cascade-rpn_fast-rcnn_r50-caffe_fpn_1x_coco': 'emo_1m',
    'centernet/centernet_r18_8xb16-crop512-140e_coco': 'nasvit_min',
    'condinst/condinst_r50_fpn_ms-poly-90k_coco_instance': 'mobilevit_xxs',
    'conditional_detr/conditional-detr_r50_8xb2-50e_coco': 'plg_vit_lw_r',
    'detr/detr_r50_8xb2-150e_coco': 't2t_vit_7',
    'efficientnet/retinanet_effb3_fpn_8xb4-crop896-1x_coco': 'emo_1m',
    'fcos/fcos_r50-caffe_fpn_gn-head_1x_coco': 'plg_vit_lw_r',
    'hrnet/fcos_hrnetv2p-w18-gn-head_4xb4-1x_coco': 'nasvit_min',
    'ld/ld_r18-gflv1-r101_fpn_1x_coco': 'mobilevit_xxs',
    'mask2former/mask2former_r50_8xb2-lsj-50e_coco': 'emo_1m',
    'maskformer/maskformer_r50_ms-16xb1-75e_coco': 'mobilevit_xxs',
    'mask_rcnn/mask-rcnn_r50_fpn_1x_coco': 't2t_vit_7',
    'masktrack_rcnn/masktrack-rcnn_mask-rcnn_r50_fpn_8xb1-12e_'
    'youtubevis2019': 'mobilevit_xxs',
    'ocsort/ocsort_yolox_x_8xb4-amp-80e_crowdhuman-mot17halftrain_'
    'test-mot17halfval': 'emo_1m',
    'pafpn/faster-rcnn_r50_pafpn_1x_coco': 'nasvit_min',
    'pvt/retinanet_pvtv2-b0_fpn_1x_coco': 'mobilevit_xxs',
    'rpn/rpn_r50-caffe-c4_1x_coco': 'plg_vit_lw_r',
    'rtmdet/rtmdet_tiny_8xb32-300e_coco': 'emo_1m',
    'soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco': (
        'nasvit_min'
    ),
    'solov2/solov2-light_r18_fpn_ms-3x_coco': 't2t_vit_7',
    'ssd/ssd300_coco': 'mobilevit_xxs',
    'yolact/yolact_r50_1xb8-55e_coco': 'emo_1m',
    'yolo/yolov3_mobilenetv2_8xb24-320-300e_coco': 'nasvit_min',
    'yolof/yolof_r50-c5_8xb8-1x_coco': 'plg_vit_lw_r',
    'yolox/yolox_tiny_8xb8-300e_coco': 't2t_vit_7',
}
SEGMENTERS = {
    'bisenetv1/bisenetv1_r18-d32_4xb4-160k_cityscapes-1024x1024': 'emo_1m',
    'deeplabv3plus/deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024': (
        'mobilevit_xxs'
    ),
    'fastfcn/fastfcn_r50-d32_jpu_psp_4xb2-80k_cityscapes-512x1024': (
        'nasvit_min'
    ),
    'hrnet/fcn_hr18s_4xb2-40k_cityscapes-512x1024': 'plg_vit_lw_r',
    'knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512': 'emo_1m',
    'mask2former/mask2former_r50_8xb2-90k_cityscapes-512x1024': (
        'mobilevit_xxs'
    ),
    'mobilenet_v2/mobilenet-v2-d8_pspnet_4xb2-80k_cityscapes-512x1024': (
        't2t_vit_7'
    ),
    'ocrnet/ocrnet_hr18s_4xb2-40k_cityscapes-512x1024': 'nasvit_min',
    'point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024': 'plg_vit_lw_r',
    'resnest/resnest_s101-d8_fcn_4xb2-80k_cityscapes-512x1024': 'emo_1m',
    'segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512': 'mobilevit_xxs',
    'sem_fpn/fpn_r50_4xb2-80k_cityscapes-512x1024': 't2t_vit_7',
    'stdc/stdc1_4xb12-80k_cityscapes-512x1024': 'emo_1m',
    'upernet/upernet_r18_4xb2-40k_cityscapes-512x1024': 'nasvit_min',
}
SAMPLE = [
    *((f'mmdet::{name}', backbone) for name, backbone in DETECTORS.items()),
    *((f'mmseg::{name}', backbone) for name, backbone in SEGMENTERS.items()),
]


@pytest.mark.release
@pytest.mark.parametrize('name, backbone', SAMPLE, ids=[n for n, _ in SAMPLE])
def test_swapped_model_computes_its_losses(
    name: str, backbone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = name.partition('::')[0]
    # Configs of teachers are named from the folder above configs/.
    monkeypatch.chdir(sweeping.config_folder(package).parent)
    cfg = swap_backbone(name, backbone)
    old = str(sweeping.load_config(name).model)
    assert 'lvt_dense.' in str(cfg.model) and 'lvt_dense.' not in old
    losses = try_model(cfg)
    assert losses['loss'] > 0
    assert torch.isfinite(torch.tensor(list(losses.values()))).all()


def test_sample_has_forty_configs() -> None:
    assert len(SAMPLE) == 40


def test_shipped_configs_leave_out_bases() -> None:
    names = sweeping.shipped_configs('mmdet')
    assert 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py' in names
    assert not any('_base_' in name for name in names)
    with pytest.raises(UserError, match='no_such_package'):
        sweeping.shipped_configs('no_such_package')
    with pytest.raises(UserError, match='numpy/.mim/configs is missing'):
        sweeping.shipped_configs('numpy')


def test_verdicts() -> None:
    def verdict(name: str) -> dict:
        return sweeping.examine(name, 'mobilevit_xxs', {})

    row = verdict('mmdet::retinanet/retinanet_r18_fpn_1x_coco')
    assert (row['verdict'], row['reason']) == ('works', '')
    assert row['old'] == 'ResNet'
    row = verdict('mmseg::unet/unet-s5-d16_fcn_4xb4-40k_drive-64x64')
    assert row['verdict'] == 'refused'
    assert 'model.backbone' in row['reason']
    row = verdict('mmdet::common/ms_3x_coco')
    assert row['verdict'] == 'apart'


@pytest.mark.parametrize(
    ('name', 'plain'),
    [
        ('mmseg::vit/vit_deit-b16_upernet_8xb2-80k_ade20k-512x512', True),
        ('mmseg::mae/mae-base_upernet_8xb2-amp-160k_ade20k-512x512', True),
        ('mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512', False),
        ('mmdet::detr/detr_r50_8xb2-150e_coco', False),
    ],
)
def test_plain_transformers_are_told_from_pyramids(
    name: str, plain: bool
) -> None:
    assert sweeping.is_plain(sweeping.load_config(name)) == plain


def test_broken_swap_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    def swapped(cfg: Config, name: str) -> Config:
        new = Config(cfg.to_dict())
        new.model.bbox_head.in_channels = 7
        return new

    monkeypatch.setattr(sweeping, 'swap_backbone', swapped)
    name = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco'
    row = sweeping.examine(name, 'mobilevit_xxs', {})
    assert row['verdict'] == 'failed'
    assert 'RuntimeError' in row['reason']


def test_equal_models_are_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(cfg: Config) -> NoReturn:
        raise AssertionError('run again')

    name = 'mmdet::retinanet/retinanet_r18_fpn_1x_coco'
    first = sweeping.examine(name, 'mobilevit_xxs', {})
    known = {first['before']: first, first['after']: first}
    monkeypatch.setattr(sweeping, 'try_model', refuse)
    for twin in (
        'retinanet_r18_fpn_1x_coco',
        'retinanet_r18_fpn_1xb8-1x_coco',
    ):
        row = sweeping.examine(
            f'mmdet::retinanet/{twin}', 'mobilevit_xxs', known
        )
        assert row['verdict'] == 'works'


def examined(name: str, backbone: str, known: dict) -> dict:
    return dict(config=name, old='ResNet', verdict='works', reason='')


def dying(name: str, backbone: str, known: dict) -> NoReturn:
    raise SystemExit(3)


def test_sweep_goes_on_where_it_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / 'rows.jsonl'
    done = dict(config='mmdet::a', old='ResNet', verdict='refused', reason='x')
    log.write_text(json.dumps(done) + '\n{"config": "mmdet')  # killed here
    monkeypatch.setattr(sweeping, 'examine', examined)
    names = ['mmdet::a', 'mmdet::b', 'mmdet::c']
    rows = sweeping.sweep(names, 'emo_1m', log, workers=2)
    assert [row['config'] for row in rows] == names
    assert [row['verdict'] for row in rows] == ['refused', 'works', 'works']
    assert len(log.read_text().splitlines()) == 3


def test_dead_process_is_a_failure_of_its_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, 'examine', dying)
    (row,) = sweeping.sweep(['mmdet::a'], 'emo_1m', tmp_path / 'rows.jsonl')
    assert row['verdict'] == 'failed'
    assert 'ended with 3' in row['reason']


def test_summary_counts_pyramids_that_run_here(tmp_path: Path) -> None:
    rows = [
        dict(config='a', old='ResNet', verdict='works', reason=''),
        dict(config='b', old='ResNet', verdict='works', reason=''),
        dict(config='c', old='UNet', verdict='refused', reason='a | b'),
        dict(config='d', old='ViT', plain=True, verdict='refused', reason=''),
        dict(config='e', old='ResNet', verdict='apart', reason=''),
    ]
    text = sweeping.summarize(rows)
    assert '66.7 % (2 of 3)' in text
    sweeping.write_table(rows, tmp_path / 'table.csv')
    with open(tmp_path / 'table.csv', newline='') as file:
        lines = list(csv.reader(file))
    assert lines[3] == ['c', 'UNet', 'refused', 'a | b']
    sweeping.write_table(rows, tmp_path / 'table.md')
    text = (tmp_path / 'table.md').read_text()
    assert text.splitlines()[4] == '| c | UNet | refused | a / b |'
