"""Every config loads its images by our loader."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, init_default_scope

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.transforms import LoadImageFromFile

ROOT = Path(__file__).parents[2]
PATHS = [
    *sorted((ROOT / 'configs').glob('*.py')),
    *sorted((ROOT / 'projects' / 'overfit').glob('*_*.py')),
]
in_every_config = pytest.mark.parametrize('path', PATHS, ids=lambda p: p.stem)


def _steps(pipeline: list) -> Iterator[dict]:
    """Yield all steps, also those of test-time augmentation."""
    for step in pipeline:
        if isinstance(step, (list, tuple)):
            yield from _steps(step)
        else:
            yield step
            yield from _steps(step.get('transforms') or [])


def _is_loader(step: dict) -> bool:
    return str(step['type']).rpartition('.')[2] == 'LoadImageFromFile'


@in_every_config
def test_broken_images_are_skipped_in_training_and_named_elsewhere(
    path: Path,
) -> None:
    cfg = Config.fromfile(path)
    init_default_scope(cfg.default_scope)
    pipelines = [
        (split, dataset.pipeline)
        for split in ('train', 'val', 'test')
        for dataset in dataset_cfgs(cfg, split)
    ]
    if 'tta_pipeline' in cfg:
        pipelines.append(('test', cfg.tta_pipeline))
    assert len(pipelines) >= 3
    for split, pipeline in pipelines:
        loaders = [step for step in _steps(pipeline) if _is_loader(step)]
        assert loaders, split
        for step in loaders:
            loader = TRANSFORMS.build(step)
            assert isinstance(loader, LoadImageFromFile), step
            assert loader.skip_unreadable is (split == 'train'), step


@in_every_config
def test_inferencers_find_the_loader_by_its_plain_name(path: Path) -> None:
    cfg = Config.fromfile(path)
    for split in ('val', 'test'):
        (dataset,) = dataset_cfgs(cfg, split)
        kinds = [step['type'] for step in dataset.pipeline]
        assert kinds[0] == 'LoadImageFromFile'
        if cfg.default_scope == 'mmseg':
            assert kinds.count('LoadAnnotations') == 1
    assert cfg.test_pipeline == cfg.test_dataloader.dataset.pipeline
