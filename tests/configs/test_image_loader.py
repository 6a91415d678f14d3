"""Every config loads its images by our loader."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import TRANSFORMS, init_default_scope

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.transforms import LoadImageFromFile

CONFIGS = Path(__file__).parents[2] / 'configs'
NAMES = sorted(path.stem for path in CONFIGS.glob('*.py'))


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


@pytest.mark.parametrize('name', NAMES)
def test_broken_images_are_skipped_in_training_and_named_elsewhere(
    name: str,
) -> None:
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
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
