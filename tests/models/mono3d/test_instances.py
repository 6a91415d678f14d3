from typing import Any

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import InstanceData

from lvt_dense.models.mono3d import FCOS3DHead, MonoConHead
from lvt_dense.models.mono3d.instances import finish_boxes
from lvt_dense.utils.errors import UserError


@pytest.mark.parametrize(
    'field, value, kept',
    [
        ('bboxes', (-70.0, 50.0, 60.0, 99.0), False),
        ('bboxes', (600.0, 50.0, 680.0, 99.0), False),
        ('bboxes', (300.0, 180.0, 380.0, 230.0), False),
        ('bboxes', (-50.0, 50.0, 60.0, 99.0), True),
        ('truncated', 0.9, True),
        ('occluded', 3, False),
    ],
)
def test_objects_to_learn(
    scene: DetDataSample, field: str, value: Any, kept: bool
) -> None:
    head = MonoConHead(8, train_cfg=dict(max_occlusion=2))
    gt = scene.gt_instances_3d = scene.gt_instances_3d[:3]
    gt[field][1] = torch.as_tensor(value, dtype=gt[field].dtype)
    depths = gt.bboxes_3d[:, 2].tolist()
    _, counts, _ = head.objects_to_learn([scene])
    chosen = gt[counts]
    expected = depths if kept else depths[::2]
    assert chosen.bboxes_3d[:, 2].tolist() == expected


@pytest.mark.parametrize('kind', [MonoConHead, FCOS3DHead])
def test_a_label_beyond_the_head_is_refused(
    kind: type, scene: DetDataSample
) -> None:
    sizes = dict(base_dims=[(1, 1, 1)] * 2) if kind is FCOS3DHead else {}
    head = kind(32, num_classes=2, feat_channels=32, **sizes)
    scene.set_metainfo(dict(img_path='a/000007.png'))
    message = '000007.png has an object of class 2, .* num_classes=2'
    features = [torch.zeros(1, 32, 48, 160)] * (4 if sizes else 1)
    with pytest.raises(UserError, match=message):
        head.loss(features, [scene])


@pytest.mark.parametrize(
    'rescale, expected',
    [
        (False, [0.0, 10.0, 199.0, 99.0]),
        # (u + 0.5) / s - 0.5, and then the end of the original image.
        (True, [0.0, 41.5, 399.0, 399.0]),
    ],
)
def test_2d_boxes_end_at_the_image_and_grow_with_it(
    rescale: bool, expected: list[float]
) -> None:
    found = InstanceData(bboxes=torch.tensor([[-5.0, 10.0, 250.0, 120.0]]))
    meta = dict(
        img_shape=(100, 200), ori_shape=(400, 400), scale_factor=(0.5, 0.25)
    )
    assert finish_boxes(found, meta, rescale).bboxes.tolist() == [expected]
