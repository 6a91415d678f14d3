"""Small models of every task, and batches for them."""

from pathlib import Path
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from torch import nn

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.engine.distillation.teachers import NetworkTeacher

CONFIGS = Path(__file__).parents[2] / 'configs'
SSDLITE = 'ssdlite_mobilevit_xxs_192_demo'
RTMDET = 'rtmdet_mobilevit_xs_coco'
RETINANET = 'retinanet_mobilevit_coco'
MONOCON = 'monocon_mobilevit_xxs_kitti'
SEGMENTER = 'deeplabv3_mobilevit_xxs_360_camvid'


def read(name: str, **options: Any) -> Config:
    """Load a recipe with options by dotted key, ``__`` for the dots."""
    dotted = {k.replace('__', '.'): v for k, v in options.items()}
    return load_config(str(CONFIGS / f'{name}.py'), dotted)


def build(name: str, seed: int = 0, **options: Any) -> Any:
    """Build the model of a recipe with random weights."""
    import_stack()
    cfg = read(name, **options)
    torch.manual_seed(seed)
    with DefaultScope.overwrite_default_scope(cfg.default_scope):
        model = MODELS.build(cfg.model)
    for part in model.modules():
        # So that no two random networks agree on everything.
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
    return model


def teacher_of(model: nn.Module, classes: tuple = ()) -> NetworkTeacher:
    """Return a model as a teacher."""
    return NetworkTeacher(model, classes, 'the teacher')


def detection_batch(side: int = 96) -> tuple[torch.Tensor, list]:
    """Return two images with a box each, one of them padded."""
    images = torch.rand(2, 3, side, side)
    samples = []
    for shape in ((side, side), (side - 20, side)):
        meta = dict(
            img_shape=shape,
            pad_shape=(side, side),
            batch_input_shape=(side, side),
            ori_shape=shape,
            scale_factor=(1.0, 1.0),
        )
        sample = DetDataSample(metainfo=meta)
        sample.gt_instances = InstanceData(
            bboxes=torch.tensor([[10.0, 12.0, 50.0, 60.0]]),
            labels=torch.tensor([1]),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long()
        )
        samples.append(sample)
    return images, samples


def segmentation_batch(side: int = 64) -> tuple[torch.Tensor, list]:
    """Return two images with label maps."""
    images = torch.rand(2, 3, side, side)
    samples = []
    for index in range(2):
        sample = SegDataSample(metainfo=dict(img_shape=(side, side)))
        sample.gt_sem_seg = PixelData(
            data=torch.full((1, side, side), index + 1)
        )
        samples.append(sample)
    return images, samples
