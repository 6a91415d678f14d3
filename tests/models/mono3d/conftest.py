"""Labeled scenes and a tiny pyramid for the monocular 3D tests."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmdet.structures import DetDataSample
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from lvt_dense.models.mono3d.monocon_targets import build_targets
from lvt_dense.structures import box2d_from_boxes3d, yaw_to_alpha

# Height and width of the network's image, already a multiple of 32.
IMAGE = (192, 640)
CAMERA = np.array(
    [
        [360.0, 0.0, 305.0, 22.5],
        [0.0, 360.0, 86.0, 0.11],
        [0.0, 0.0, 1.0, 0.0027],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
# Pedestrian, cyclist, car: length, height, width.
SIZES = ((0.8, 1.75, 0.6), (1.8, 1.7, 0.6), (3.9, 1.5, 1.6))


class StubPyramid(BaseModule):
    """Four levels with strides 4 to 32, as little as does it."""

    def __init__(self, channels: Sequence[int] = (8, 12, 16, 24)) -> None:
        super().__init__()
        inputs = (3, *channels[:-1])
        strides = (4, 2, 2, 2)
        self.levels = nn.ModuleList(
            nn.Conv2d(i, o, s + 1, s, s // 2)
            for i, o, s in zip(inputs, channels, strides)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        outs = []
        for level in self.levels:
            x = level(x).relu()
            outs.append(x)
        return tuple(outs)


def make_sample(
    boxes: Sequence[Sequence[float]], labels: Sequence[int]
) -> DetDataSample:
    """A fully visible scene in front of ``CAMERA``."""
    bboxes_3d = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 7)
    camera = torch.tensor(CAMERA, dtype=torch.float32)
    count = len(bboxes_3d)
    sample = DetDataSample(
        metainfo=dict(
            cam2img=CAMERA,
            ori_cam2img=CAMERA,
            img_shape=IMAGE,
            ori_shape=IMAGE,
            batch_input_shape=IMAGE,
            scale_factor=(1.0, 1.0),
            sample_idx=0,
        )
    )
    x, z = bboxes_3d[:, 0], bboxes_3d[:, 2]
    u = (360 * x + 305 * z + 22.5) / (z + 0.0027)
    sample.gt_instances_3d = InstanceData(
        bboxes_3d=bboxes_3d,
        labels_3d=torch.tensor(labels, dtype=torch.long),
        bboxes=box2d_from_boxes3d(bboxes_3d, camera, IMAGE),
        alphas=yaw_to_alpha(bboxes_3d[:, 6], u, camera),
        truncated=torch.zeros(count),
        occluded=torch.zeros(count, dtype=torch.long),
    )
    return sample


@pytest.fixture
def empty() -> DetDataSample:
    """An image without objects."""
    return make_sample([], [])


@pytest.fixture
def scene() -> DetDataSample:
    """Eight objects well apart, of all classes, seen from all sides."""
    rng = np.random.default_rng(3)
    boxes, labels = [], []
    places = ((-8, 15), (-4, 12), (0, 9), (3.5, 14), (8, 20), (-14, 33))
    for i, (x, z) in enumerate(places):
        label = i % 3
        yaw = rng.uniform(-np.pi, np.pi)
        boxes.append((x, 1.6, z, *SIZES[label], yaw))
        labels.append(label)
    boxes.append((2.0, 1.7, 45.0, *SIZES[2], np.pi - 1e-3))
    # Partly outside the image.
    boxes.append((11.5, 1.6, 12.5, *SIZES[2], -np.pi / 2))
    return make_sample(boxes, labels + [2, 2])


def _perfect_monocon_maps(
    samples: list, map_shape: tuple[int, int] = (48, 160)
) -> tuple:
    """Maps that say exactly what the targets ask for."""
    cameras = [torch.tensor(s.cam2img).float() for s in samples]
    gts = [s.gt_instances_3d for s in samples]
    targets = build_targets(gts, torch.stack(cameras), map_shape, 4, 3)
    objects, image = targets.objects, targets.image

    def paint(
        values: Tensor, image: Tensor = image, cell: Tensor = objects.cell
    ) -> Tensor:
        out = torch.zeros(len(samples), values.size(1), *map_shape)
        out[image, :, cell[:, 1], cell[:, 0]] = values.float()
        return out

    one_hot = F.one_hot(objects.angle_bin, 12)
    residuals = torch.full(one_hot.shape, 0.7)
    residuals[one_hot.bool()] = objects.angle_residual
    maps = dict(
        heatmap=targets.heatmap.clamp(1e-4, 1 - 1e-4),
        keypoint_heatmap=targets.keypoint_heatmap.clamp(1e-4, 1 - 1e-4),
        wh=paint(objects.wh),
        offset=paint(objects.offset),
        keypoints=paint(objects.keypoints.flatten(1)),
        dim=paint(objects.dim),
        depth=paint(F.pad(objects.depth[:, None], (0, 1))),
        angle=paint(torch.cat((one_hot * 40.0 - 20, residuals), 1)),
        keypoint_offset=paint(
            targets.keypoint_offset,
            targets.keypoint_image,
            targets.keypoint_cell,
        ),
    )
    return maps, targets


@pytest.fixture
def perfect_monocon_maps() -> Callable:
    """Maps and targets of samples, where the maps have no fault."""
    return _perfect_monocon_maps


@pytest.fixture
def stub_pyramid() -> type:
    return StubPyramid


@pytest.fixture
def sort_by_depth() -> Callable:
    """Rows of instances from near to far, to compare sets of objects."""

    def sort(
        instances: InstanceData, limit: int | None = None
    ) -> InstanceData:
        order: list[int] = instances.bboxes_3d[:, 2].argsort().tolist()
        return instances[torch.tensor(order[:limit], dtype=torch.long)]

    return sort
