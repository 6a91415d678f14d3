"""Segmentation configs cut down to what a test can run in seconds."""

from pathlib import Path
from typing import Any

from mmengine.config import Config

from lvt_dense.config import dataset_cfgs, load_config, set_data_root
from lvt_dense.scenes import write_coco, write_semantic

CONFIGS = Path(__file__).parents[2] / 'configs'
LAYOUT_OF = dict(
    ade20k='ade20k',
    cityscapes='cityscapes',
    voc12aug='voc',
    camvid='camvid',
)
WITH_COCO = 'coco_voc'  # folder with VOC and COCO
IMAGE = (128, 96)  # width, height
CROP = (64, 64)


def config_names() -> list[str]:
    """Every config of a segmenter."""
    return sorted(
        path.stem
        for head in ('deeplabv3', 'pspnet', 'fpn', 'segformer')
        for path in CONFIGS.glob(f'{head}_*.py')
    )


def layout_of(name: str) -> str:
    """Layout of the data set that a config reads."""
    return LAYOUT_OF[name.rsplit('_', 1)[-1]]


def folder_of(name: str) -> str:
    """Folder of :func:`write_layouts` that a config reads."""
    return WITH_COCO if '_coco_' in name else layout_of(name)


def write_layouts(folder: Path) -> None:
    """Render a data set of every layout: three train, one val image."""
    for layout in LAYOUT_OF.values():
        write_semantic(folder / layout, layout, 4, seed=1, size=IMAGE)
    both = folder / WITH_COCO
    (both / 'VOCdevkit').mkdir(parents=True)
    (both / 'VOCdevkit/VOC2012').symlink_to(folder / 'voc')
    write_coco(both / 'coco', 4, seed=1, size=IMAGE)


def small_config(name: str, data_root: Path, work_dir: Path) -> Config:
    """A config on tiny images: two iterations, then validation."""
    cfg = load_config(CONFIGS / f'{name}.py')
    set_data_root(cfg, str(data_root))
    cfg.work_dir = str(work_dir)
    cfg.model.data_preprocessor.size = CROP
    if cfg.model.test_cfg.mode == 'slide':
        cfg.model.test_cfg.update(crop_size=CROP, stride=(48, 48))
    for split in ('train', 'val', 'test'):
        loader = cfg[f'{split}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        _shrink(loader.dataset)
    _shrink(cfg.tta_pipeline)
    cfg.train_dataloader.batch_size = 2
    for dataset in dataset_cfgs(cfg, 'train'):
        if dataset.type == 'lvt_dense.COCOAsVOCDataset':
            dataset.min_pixels = 1
    if cfg.train_dataloader.dataset.type == 'RepeatDataset':
        cfg.train_dataloader.dataset.times = 1
    counter = 'max_iters' if 'max_iters' in cfg.train_cfg else 'max_epochs'
    cfg.train_cfg.update({counter: 2, 'val_interval': 2})
    cfg.default_hooks.checkpoint.interval = 2
    cfg.randomness = dict(seed=0)
    return cfg


def _shrink(part: Any) -> None:
    """Shrink the sizes in a data set or pipeline, in place."""
    if isinstance(part, dict):
        kind = part.get('type')
        if kind in ('Resize', 'RandomResize'):
            part['scale'] = IMAGE
        elif kind == 'RandomChoiceResize':
            by_side = isinstance(part['scales'][0], int)
            part['scales'] = [72, 96] if by_side else [(128, 72), (128, 96)]
        elif kind in ('RandomCrop', 'lvt_dense.SegRandomCrop'):
            part['crop_size'] = CROP
        for value in part.values():
            _shrink(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            _shrink(value)
