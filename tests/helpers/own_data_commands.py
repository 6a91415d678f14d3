"""What ``lvt-dense train --data`` makes of a folder."""

from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope
from pycocotools import mask as coco_mask

from .commands import run_command

DETECTOR = 'lvt_dense::ssdlite_mobilevit_xxs_320_coco.py'
SEGMENTER = 'lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py'
INSTANCES = 'lvt_dense::mask_rcnn_emo_coco.py'
MONO3D = 'lvt_dense::monocon_mobilevit_xxs_kitti.py'


def read(
    config: str, root: Path, *args: Any, command: str = 'train'
) -> Config:
    """Run the command up to the training; return the config it would use."""
    made = []
    work = root.parent / 'work'
    rest = ('--work-dir', work) if command == 'train' else ()
    with mock.patch(
        f'lvt_dense.apis.{command}.{command}',
        lambda cfg, *_, **__: made.append(cfg),
    ):
        status = run_command(command, config, *args, '--data', root, *rest)
    assert status == 0
    return made[0]


def summary(root: Path) -> str:
    """What the last command wrote of a data set."""
    return (root.parent / 'work' / 'data' / 'summary.txt').read_text()


def load(cfg: Config, split: str = 'train') -> Any:
    """Build a data set of a config."""
    init_default_scope(cfg.default_scope)
    return DATASETS.build(cfg[f'{split}_dataloader'].dataset)


def boxes(cfg: Config, split: str = 'train') -> dict[str, list]:
    """Class, box and whether it is ignored, of every object by image."""
    dataset = load(cfg, split)
    names = dataset.metainfo['classes']
    found = {}
    for index in range(len(dataset)):
        info = dataset.get_data_info(index)
        found[Path(info['img_path']).name] = [
            (
                names[item['bbox_label']],
                *(round(v, 2) for v in item['bbox']),
                item['ignore_flag'],
            )
            for item in info['instances']
        ]
    return found


def label_maps(cfg: Config, split: str = 'val') -> dict[str, np.ndarray]:
    """Label maps as the pipeline gives them out, by image."""
    dataset = load(cfg, split)
    found = {}
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        found[Path(sample.img_path).name] = sample.gt_sem_seg.data[0].numpy()
    return found


def rle(mask: np.ndarray, compressed: bool = False) -> dict:
    """COCO's run lengths of a mask."""
    if compressed:
        code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        return dict(size=list(mask.shape), counts=code['counts'].decode())
    flat = mask.ravel(order='F').astype(int)
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff([0, *edges, len(flat)]).tolist()
    return dict(size=list(mask.shape), counts=[0, *runs] if flat[0] else runs)
