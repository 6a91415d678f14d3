"""Presets of augmentation keep images and labels together."""

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.engine.augment import PRESETS, use_augment
from lvt_dense.engine.train_samples import SampleDrawer, kept_random_state
from lvt_dense.scenes import write_coco, write_semantic
from lvt_dense.utils.errors import UserError

CONFIGS = Path(__file__).parents[2] / 'configs'
OTHERS = [name for name in PRESETS if name != 'recipe']


def load(name: str, root: Path) -> Config:
    import_stack()
    cfg = load_config(str(CONFIGS / f'{name}.py'))
    set_data_root(cfg, str(root))
    init_default_scope(cfg.default_scope)
    return cfg


@pytest.fixture(scope='module')
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp('coco')
    write_coco(root, 4, size=(160, 120), seed=0, val_fraction=0.25)
    return root


@pytest.mark.parametrize('preset', OTHERS)
def test_masks_stay_in_their_boxes(preset: str, coco: Path) -> None:
    cfg = load('mask_rcnn_mobilevit_coco', coco)
    use_augment(cfg, preset)
    part = cfg.train_dataloader.dataset
    part.pipeline = [
        dict(s, scale=(160, 120)) if s['type'] == 'Resize' else s
        for s in part.pipeline
    ]
    drawer = SampleDrawer(DATASETS.build(part))
    acted, seen = set(), 0
    with kept_random_state(seed=0):
        for index in range(12):
            found = drawer.draw(index % 3)
            assert found is not None
            acted |= set(found.acted)
            instances = found.sample.gt_instances
            boxes = getattr(instances.bboxes, 'tensor', instances.bboxes)
            for box, mask in zip(boxes, instances.masks.to_ndarray()):
                ys, xs = np.nonzero(mask)
                if not len(xs):  # cut off by a crop
                    continue
                seen += 1
                x1, y1, x2, y2 = box.tolist()
                assert xs.min() >= x1 - 4 and xs.max() <= x2 + 4
                assert ys.min() >= y1 - 4 and ys.max() <= y2 + 4
    assert seen > 10
    expected = {
        'none': set(),
        'light': {'PhotoMetricDistortion', 'RandomFlip'},
        'strong': {'Expand', 'MinIoURandomCrop', 'RandomFlip'},
        'aerial': {'MinIoURandomCrop', 'RandomFlip'},
        'industrial': {'TranslateX', 'TranslateY', 'RandomFlip'},
    }[preset]
    assert expected <= acted
    if preset == 'none':
        assert not acted


@pytest.mark.parametrize('preset', OTHERS)
def test_label_maps(preset: str, tmp_path: Path) -> None:
    write_semantic(tmp_path, 'camvid', 4, size=(300, 220), seed=0)
    cfg = load('deeplabv3_mobilevit_xxs_360_camvid', tmp_path)
    lines = use_augment(cfg, preset)
    assert lines[0] == f'augmentation: {preset}'
    drawer = SampleDrawer(DATASETS.build(cfg.train_dataloader.dataset))
    found = drawer.draw(0)
    assert found is not None
    assert found.image.shape == (192, 256, 3)
    assert found.sample.gt_sem_seg.data.shape == (1, 192, 256)


def test_the_recipe_stays(coco: Path) -> None:
    cfg = load('rtmdet_emo_1m_coco', coco)
    before = cfg.train_dataloader.dataset.to_dict()
    lines = use_augment(cfg, 'recipe')
    assert cfg.train_dataloader.dataset.to_dict() == before
    assert any('CachedMosaic' in line for line in lines)


def test_a_preset_is_not_switched_off_at_the_end(coco: Path) -> None:
    cfg = load('rtmdet_emo_1m_coco', coco)
    assert 'PipelineSwitchHook' in str(cfg.custom_hooks)
    use_augment(cfg, 'light')
    assert 'PipelineSwitchHook' not in str(cfg.custom_hooks)


def test_bad_presets(coco: Path) -> None:
    cfg = load('ssdlite_mobilevit_320_coco', coco)
    with pytest.raises(UserError, match='choose from none, light'):
        use_augment(cfg, 'heavy')
    cfg = load('monocon_mobilevit_kitti', coco)
    with pytest.raises(UserError, match='stands upright'):
        use_augment(cfg, 'aerial')
    use_augment(cfg, 'strong')
