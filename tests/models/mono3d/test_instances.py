import pytest
import torch
from mmengine.structures import InstanceData

from lvt_dense.models.mono3d.instances import finish_boxes, select_objects


@pytest.mark.parametrize(
    'field, row, value, kept',
    [
        ('truncated', 1, 0.5, True),
        ('truncated', 1, 0.51, False),
        ('occluded', 1, 2, True),
        ('occluded', 1, 3, False),
        ('bboxes', 1, (100.0, 50.0, 150.0, 75.0), True),
        ('bboxes', 1, (100.0, 50.0, 150.0, 74.0), False),
        ('bboxes', 1, (-70.0, 50.0, 60.0, 99.0), False),
        ('bboxes', 1, (600.0, 50.0, 680.0, 99.0), False),
        ('bboxes', 1, (300.0, 180.0, 380.0, 230.0), False),
        ('bboxes_3d', (1, 2), 65.0, True),
        ('bboxes_3d', (1, 2), 65.1, False),
        ('bboxes_3d', (1, 2), 1.9, False),
    ],
)
def test_selection(scene, field, row, value, kept):
    gt = scene.gt_instances_3d[:3]
    gt[field][row] = torch.as_tensor(value, dtype=gt[field].dtype)
    keep = select_objects(gt, scene.img_shape)
    assert keep.tolist() == [True, kept, True]


@pytest.mark.parametrize(
    'rescale, expected',
    [
        (False, [0.0, 10.0, 199.0, 99.0]),
        (True, [0.0, 40.0, 398.0, 396.0]),
    ],
)
def test_2d_boxes_end_at_the_image_and_grow_with_it(rescale, expected):
    found = InstanceData(bboxes=torch.tensor([[-5.0, 10.0, 250.0, 120.0]]))
    meta = dict(img_shape=(100, 200), scale_factor=(0.5, 0.25))
    assert finish_boxes(found, meta, rescale).bboxes.tolist() == [expected]
