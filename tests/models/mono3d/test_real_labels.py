"""Encoding and decoding of KITTI's own labels."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from mmdet.structures import DetDataSample
from mmengine.registry import init_default_scope

from lvt_dense.datasets.kitti.dataset import KittiMonoDataset
from lvt_dense.models.mono3d import MonoConHead


def _samples(root: Path) -> list[DetDataSample]:
    init_default_scope('mmdet')
    data = KittiMonoDataset(
        data_root=str(root / 'kitti'),
        ann_file='ImageSets/trainval.txt',
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='lvt_dense.LoadAnnotations3D'),
            dict(type='lvt_dense.FilterObjects3D'),
            dict(type='lvt_dense.Pack3DInputs'),
        ],
    )
    samples = [data[i]['data_samples'] for i in range(0, len(data), 4)]
    head = MonoConHead(8)
    for sample in samples:
        _, counts, _ = head.objects_to_learn([sample])
        sample.gt_instances_3d = sample.gt_instances_3d[counts]
    return samples


def test_monocon_gives_real_boxes_back(
    real_data: Path, perfect_monocon_maps: Callable
) -> None:
    head = MonoConHead(8, test_cfg=dict(score_thr=0.9))
    count = 0
    for sample in _samples(real_data):
        gt = sample.gt_instances_3d
        maps, targets = perfect_monocon_maps([sample], (96, 312))
        cells = targets.objects.cell
        # Objects that share a cell, or touch one of their class, get lost.
        near = torch.cdist(cells.float(), cells.float(), p=math.inf) <= 1
        alone = near.sum(1) == 1
        (found,) = head.predict_by_maps(maps, [sample.metainfo], True)
        assert len(found) >= alone.sum()
        for box, label in zip(gt.bboxes_3d[alone], gt.labels_3d[alone]):
            error = (found.bboxes_3d - box).abs()
            error[:, 6] = error[:, 6].minimum(2 * math.pi - error[:, 6])
            error[found.labels_3d != label] = math.inf
            assert error.amax(1).min() < 1e-3
            count += 1
    assert count > 40
