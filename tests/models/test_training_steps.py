"""Steps neither grow with the batch, nor wait for a GPU."""

import re
import traceback
from typing import Any

import numpy as np
import pytest
import torch
from helpers.operators import Operators
from mmdet.structures import DetDataSample
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope
from mmengine.structures import InstanceData
from torch import nn

from lvt_dense.config import load_config

SIZE = 64
OURS = re.compile(r'.*/((?:lvt_dense|mmengine|mmdet|mmcv)/(?!tests/).+)')
CAMERA = np.diag([50.0, 50.0, 1.0, 1.0])
CAMERA[:2, 2] = SIZE / 2
# Waits that are left, by where they are called from.
_STACKING = 'mmengine/model/utils.py'  # sizes of images, which the host has
# F.one_hot looks at the labels, on a CPU alone; and MMDetection's focal loss
# calls it on a CPU alone.
_ONE_HOT = 'mmdet/models/losses/focal_loss.py'
# A wrong label is named on a CPU; on a GPU, it fails there.
_LABELS = 'lvt_dense/models/mono3d/base_head.py'
LEFT = {
    'ssdlite_mobilevit_xxs_320_coco': {_STACKING},
    'ssdlite_emo_1m_320_coco': {_STACKING},
    'retinanet_emo_1m_coco': {_STACKING, _ONE_HOT},
    'fcos3d_emo_kitti': {_STACKING, _ONE_HOT, _LABELS},
    'monocon_mobilevit_xxs_kitti': {_STACKING, _LABELS},
}


def build(recipe: str) -> Any:
    init_default_scope('mmdet')
    cfg = load_config(f'lvt_dense::{recipe}.py').model
    cfg.backbone.init_cfg = None
    torch.manual_seed(0)
    return MODELS.build(cfg).train()


def make_batch(images: int, size: int = SIZE) -> dict[str, Any]:
    """Three objects an image, in 2D and in 3D."""
    generator = torch.Generator().manual_seed(0)
    samples = []
    for _ in range(images):
        corner = torch.rand(3, 2, generator=generator) * 30
        boxes = torch.cat((corner, corner + 20), 1)
        labels = torch.arange(3)
        sample = DetDataSample(
            metainfo=dict(
                img_shape=(size, size),
                ori_shape=(size, size),
                cam2img=CAMERA,
            )
        )
        sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        sample.gt_instances_3d = InstanceData(
            bboxes=boxes,
            bboxes_3d=torch.tensor([[0.0, 1, 12, 4, 2, 2, 1]]).repeat(3, 1),
            labels_3d=labels,
            truncated=torch.zeros(3),
            occluded=torch.zeros(3, dtype=torch.long),
        )
        samples.append(sample)
    inputs = [
        torch.zeros(3, size, size, dtype=torch.uint8) for _ in range(images)
    ]
    return dict(inputs=inputs, data_samples=samples)


def step(model: nn.Module, batch: dict[str, Any]) -> None:
    """Forward and backward, as in training."""
    data = model.data_preprocessor(batch, True)
    total, _ = model.parse_losses(model(**data, mode='loss'))
    total.backward()
    model.zero_grad()


def count_operators(model: nn.Module, images: int) -> int:
    batch = make_batch(images, 32)
    with torch.profiler.profile() as profile:
        step(model, batch)
    return sum(
        event.count
        for event in profile.key_averages()
        if event.key.startswith('aten::')
    )


@pytest.mark.parametrize(
    'recipe', ['ssdlite_mobilevit_xxs_320_coco', 'ssdlite_emo_1m_320_coco']
)
def test_operators_do_not_grow_with_the_batch(recipe: str) -> None:
    model = build(recipe)
    step(model, make_batch(2, 32))  # anchors are listed once
    few, many = (count_operators(model, images) for images in (2, 32))
    assert many < 1.1 * few


class Waits(Operators):
    """Note the files that call operators that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.files: set[str] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operator."""
        before = len(self.waiting)
        out = super().__torch_dispatch__(func, types, args, kwargs)
        if len(self.waiting) > before:
            paths = [f.filename for f in traceback.extract_stack()]
            ours = [match for match in map(OURS.fullmatch, paths) if match]
            self.files.add(ours[-1][1])
        return out


@pytest.mark.parametrize('recipe', LEFT)
def test_waits_that_are_left(recipe: str) -> None:
    model = build(recipe)
    step(model, make_batch(2))
    with Waits() as seen:
        step(model, make_batch(2))
    assert seen.files == LEFT[recipe]


def test_waits_are_found() -> None:
    x = torch.ones(3)
    with Operators() as seen:
        x[x > 0], x.nonzero(), x.sum().item(), bool(x.any())
        x[x > 0] = 2.0
    assert len(seen.waiting) == 5


@pytest.mark.parametrize('recipe', LEFT)
def test_bf16_on_a_cpu(recipe: str) -> None:
    """A step in bfloat16 has about the loss of one in float32."""
    model = build(recipe)
    cfg = dict(
        type='lvt_dense.Bf16OptimWrapper',
        optimizer=dict(type='AdamW', lr=1e-6, fused=True),
    )
    wrapper = build_optim_wrapper(model, cfg)
    loss = model.train_step(make_batch(2), wrapper)['loss']
    expected = float(loss.detach())
    data = model.data_preprocessor(make_batch(2), True)
    total, _ = model.parse_losses(model(**data, mode='loss'))
    assert float(total.detach()) == pytest.approx(expected, rel=0.05)
    with wrapper.optim_context(model):
        feature = model.extract_feat(data['inputs'])[-1]
    assert feature.dtype == torch.bfloat16
    assert all(p.dtype == torch.float32 for p in model.parameters())
