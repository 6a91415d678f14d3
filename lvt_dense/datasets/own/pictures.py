"""Draw images with their labels, as used in training."""

import logging
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import DATASETS, init_default_scope
from mmengine.structures import InstanceData, PixelData

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.image_files import read_image
from lvt_dense.datasets.label_maps import read_mask
from lvt_dense.datasets.own.formats.labeled_data import Sample
from lvt_dense.visualization.draw import build_visualizer, draw_sample

from .prepared import Prepared

_COUNT = 10  # pictures


def choose_samples(samples: list[Sample]) -> list[Sample]:
    """Choose ten labeled images, spread over a split."""
    labeled = [s for s in samples if s.objects or s.mask] or samples
    step = max(1, len(labeled) // _COUNT)
    return labeled[::step][:_COUNT]


def draw_samples(
    cfg: Config, data: Prepared, task: str, folder: Path
) -> list[Path]:
    """Draw labeled training images with the config's visualizer.

    Args:
        cfg: Config that was adapted to the data.
        data: What is in the cache.
        task: As :func:`lvt_dense.datasets.own.task.task_of` names it.
        folder: Where the pictures go.

    Returns:
        The pictures; one that cannot be drawn is left out with a warning.
    """
    init_default_scope(cfg.get('default_scope') or 'mmdet')
    visualizer = build_visualizer(cfg)
    visualizer.dataset_meta = dict(
        classes=tuple(data.classes), palette=data.colors
    )
    make = _makers(cfg, task)
    paths = []
    for number, sample in enumerate(data.shown):
        image = read_image(sample.path)
        if image is None:
            print_log(
                f'image {sample.path} is empty or corrupt and is not drawn',
                logger='current',
                level=logging.WARNING,
            )
            continue
        target = folder / f'{number}_{sample.path.stem}.png'
        draw_sample(
            visualizer,
            np.ascontiguousarray(image[..., ::-1]),
            make(sample, image.shape[:2]),
            target,
            draw_gt=True,
            draw_pred=False,
        )
        paths.append(target)
    return paths


def _makers(cfg: Config, task: str) -> Callable[[Sample, tuple], object]:
    """Return what turns a sample into the form that the visualizer takes."""
    if task == 'semantic':
        return to_seg_sample
    if task == 'mono3d':
        return _Frames(cfg)
    return to_data_sample


class _Frames:
    """Data samples of KITTI's frames."""

    def __init__(self, cfg: Config) -> None:
        dataset = dict(
            next(dataset_cfgs(cfg, 'train')),
            test_mode=False,
            filter_cfg=None,
            pipeline=[
                dict(type='lvt_dense.LoadImageFromFile'),
                dict(type='lvt_dense.LoadAnnotations3D'),
                dict(type='lvt_dense.Pack3DInputs'),
            ],
        )
        self.frames = DATASETS.build(dataset)
        infos = (self.frames.get_data_info(i) for i in range(len(self.frames)))
        self.index = {Path(x['img_path']).stem: i for i, x in enumerate(infos)}

    def __call__(self, sample: Sample, shape: tuple[int, int]) -> object:
        return self.frames[self.index[sample.path.stem]]['data_samples']


def to_seg_sample(sample: Sample, shape: tuple[int, int]) -> object:
    """Turn a sample into mmseg's form, the label map in ``gt_sem_seg``."""
    from mmseg.structures import SegDataSample

    labels = read_mask(str(sample.mask)).astype(np.int64)
    return SegDataSample(
        gt_sem_seg=PixelData(data=torch.from_numpy(labels)[None]),
        metainfo=dict(img_path=str(sample.path), ori_shape=shape),
    )


def to_data_sample(sample: Sample, shape: tuple[int, int]) -> object:
    """Turn a sample into mmdet's form, boxes and masks in ``gt_instances``.

    Args:
        sample: Labels in the frame of the image.
        shape: Height and width of the image.
    """
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    boxes = [
        (x, y, x + w, y + h) for x, y, w, h in (o.bbox for o in sample.objects)
    ]
    instances = InstanceData(
        bboxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([o.label for o in sample.objects]).long(),
    )
    if sample.objects and all(o.segmentation for o in sample.objects):
        masks = [mask_of(o.segmentation or [], shape) for o in sample.objects]
        instances.masks = BitmapMasks(masks, *shape)
    return DetDataSample(
        gt_instances=instances,
        metainfo=dict(img_path=str(sample.path), ori_shape=shape),
    )


def mask_of(segmentation: list | dict, shape: tuple[int, int]) -> np.ndarray:
    """Rasterize polygons or run lengths.

    Args:
        segmentation: COCO's polygons or run lengths.
        shape: Height and width.

    Returns:
        (H, W), uint8, 0 or 1.
    """
    if isinstance(segmentation, dict):
        from pycocotools import mask as coco_mask

        return coco_mask.decode(segmentation)
    mask = np.zeros(shape, np.uint8)
    for polygon in segmentation:
        points = np.array(polygon, np.float64).reshape(-1, 2).round()
        cv2.fillPoly(mask, [points.astype(np.int32)], 1)
    return mask
