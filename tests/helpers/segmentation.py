"""Segmentation configs cut down to what a test can run in seconds."""

from pathlib import Path
from typing import Any

import pytest
from mmengine.config import Config

from lvt_dense.config import load_config, set_data_root

CONFIGS = Path(__file__).parents[2] / 'configs'
LAYOUT_OF = dict(
    ade20k='ade20k',
    cityscapes='cityscapes',
    voc12aug='voc',
    camvid='camvid',
)
IMAGE = (128, 96)  # width, height
CROP = (64, 64)


def config_names() -> list[str]:
    """Every config of a segmenter."""
    return sorted(
        path.stem
        for head in ('deeplabv3', 'pspnet')
        for path in CONFIGS.glob(f'{head}_*.py')
    )


def layout_of(name: str) -> str:
    """Layout of the data set that a config reads."""
    return LAYOUT_OF[name.rsplit('_', 1)[-1]]


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
    cfg.train_cfg.update(max_iters=2, val_interval=2)
    cfg.default_hooks.checkpoint.interval = 2
    cfg.randomness = dict(seed=0)
    return cfg


def skip_beautifier(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dump configs as they are: yapf takes longer than the training here."""
    monkeypatch.setattr(
        'yapf.yapflib.yapf_api.FormatCode', lambda text, **_: (text, True)
    )


def _shrink(part: Any) -> None:
    """Shrink the sizes in a data set or pipeline, in place."""
    if isinstance(part, dict):
        kind = part.get('type')
        if kind in ('Resize', 'RandomResize'):
            part['scale'] = IMAGE
        elif kind == 'RandomChoiceResize':
            part['scales'] = [72, 96]
        elif kind == 'RandomCrop':
            part['crop_size'] = CROP
        for value in part.values():
            _shrink(value)
    elif isinstance(part, (list, tuple)):
        for value in part:
            _shrink(value)
