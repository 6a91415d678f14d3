"""Graphs against the prediction of the model that they are made of."""

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from lvt_dense import swap_backbone
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.deploy.graph import build_graph
from lvt_dense.deploy.reference import compare_with_model
from lvt_dense.utils.errors import UserError

SIZE = (64, 96)


def compare(cfg: object, task: str, color: str) -> dict[str, float]:
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()  # type: ignore[attr-defined]
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 1.5)
        elif hasattr(module, 'conv_seg'):  # else one class wins everywhere
            torch.nn.init.zeros_(module.conv_seg.bias)
    graph = build_graph(model, cfg, color)  # type: ignore[arg-type]
    tiles = torch.randint(0, 256, (1, 4, 6, 3), dtype=torch.uint8)
    image = tiles.repeat_interleave(16, 1).repeat_interleave(16, 2)
    with torch.no_grad():
        outputs = [value.numpy() for value in graph(image)]
    found = dict(zip(graph.outputs, outputs))
    return compare_with_model(model, task, color, {'image': image}, found)


@pytest.mark.parametrize('color', ['rgb', 'bgr'])
def test_a_graph_is_its_model(color: str) -> None:
    import_stack()
    cfg = load_config('lvt_dense::ssdlite_mobilevit_xxs_192_demo.py')
    init_default_scope(cfg.default_scope)
    cfg.model.test_cfg.score_thr = 0.2
    gaps = compare(cfg, 'detection', color)
    assert gaps.pop('detections', 1) > 0
    assert max(gaps.values()) < 1e-4


@pytest.mark.parametrize(
    'name',
    [
        'danet/danet_r50-d8_4xb2-40k_cityscapes-512x1024.py',
        'encnet/encnet_r50-d8_4xb2-40k_cityscapes-512x1024.py',
        'ocrnet/ocrnet_r101-d8_4xb2-40k_cityscapes-512x1024.py',
    ],
)
def test_heads_with_several_outputs_and_cascades(name: str) -> None:
    import_stack()
    cfg = swap_backbone(load_config(f'mmseg::{name}'), 'emo_1m')
    init_default_scope('mmseg')
    cfg.model.data_preprocessor.pop('size', None)
    gaps = compare(cfg, 'semantic', 'rgb')
    assert gaps['labels'] == 0 and gaps['classes'] > 1


def test_heads_that_predict_in_their_own_way_are_refused() -> None:
    import_stack()
    name = 'mmseg::point_rend/pointrend_r50_4xb2-80k_cityscapes-512x1024.py'
    cfg = swap_backbone(load_config(name), 'emo_1m')
    init_default_scope('mmseg')
    with pytest.raises(UserError, match='PointHead predicts in a way that'):
        compare(cfg, 'semantic', 'rgb')


def test_a_graph_of_other_values_is_noticed() -> None:
    import_stack()
    cfg = load_config('lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py')
    init_default_scope(cfg.default_scope)
    torch.manual_seed(0)
    model = MODELS.build(cfg.model).eval()
    image = torch.randint(0, 256, (1, *SIZE, 3), dtype=torch.uint8)
    wrong = dict(labels=np.full((1, *SIZE), -1, np.int32))
    gaps = compare_with_model(
        model, 'semantic', 'rgb', {'image': image}, wrong
    )
    assert gaps['labels'] == 1.0


@pytest.mark.parametrize(
    ('change', 'text'),
    [
        (dict(type='MaskScoringRoIHead'), 'MaskScoringRoIHead predicts in'),
        (
            dict(
                bbox_roi_extractor=dict(
                    type='GenericRoIExtractor', aggregation='sum'
                )
            ),
            'GenericRoIExtractor predicts in',
        ),
        (
            dict(
                bbox_roi_extractor=dict(
                    roi_layer=dict(type='RoIAlign', aligned=False)
                )
            ),
            'only an aligned RoIAlign',
        ),
    ],
)
def test_a_second_stage_of_its_own_is_refused(change: dict, text: str) -> None:
    import_stack()
    cfg = load_config('lvt_dense::mask_rcnn_emo_coco.py')
    init_default_scope(cfg.default_scope)
    cfg.model.roi_head.merge(change)
    if 'type' in change:
        cfg.model.roi_head.mask_iou_head = dict(type='MaskIoUHead')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    with pytest.raises(UserError, match=text):
        build_graph(model, cfg)
    graph = build_graph(model, cfg, raw=True)
    with torch.no_grad():
        maps = graph(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
    assert len(maps) == 15  # scores, boxes and features of five levels
