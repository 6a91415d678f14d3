"""Recipes on batches of varying size."""

from pathlib import Path

import pytest
from helpers.commands import run_command
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.datasets.samplers import SizedIndex
from lvt_dense.engine.multi_scale import use_multi_scale
from lvt_dense.scenes import write_coco, write_kitti, write_semantic
from lvt_dense.utils.errors import UserError


def recipe(name: str, root: Path, writer: object) -> Config:
    import_stack()
    cfg = load_config(f'lvt_dense::{name}.py')
    init_default_scope(cfg.default_scope)
    writer(root, 6)
    set_data_root(cfg, str(root))
    loader = cfg.train_dataloader
    loader.num_workers, loader.persistent_workers = 0, False
    loader.batch_size = 2
    return cfg


def shapes_of(cfg: Config) -> list[tuple]:
    """Shapes of the images of some batches, and the expected ones."""
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    out = []
    for indices, data in zip(loader.batch_sampler, loader):
        assert all(isinstance(i, SizedIndex) for i in indices)
        size = indices[0].height, indices[0].width
        out += [(tuple(x.shape[-2:]), size) for x in data['inputs']]
        if len(out) > 20:
            break
    return out


def small_coco(root: Path, count: int) -> None:
    write_coco(root, count, size=(96, 72), val_fraction=0.0)


def small_camvid(root: Path, count: int) -> None:
    write_semantic(root, 'camvid', count, size=(128, 96), val_fraction=0.0)


def small_kitti(root: Path, count: int) -> None:
    write_kitti(root, count, size=(310, 94), val_fraction=0.0)


def test_detection_gets_the_drawn_size(tmp_path: Path) -> None:
    cfg = recipe('ssdlite_mobilevit_xxs_320_coco', tmp_path / 'a', small_coco)
    (line,) = use_multi_scale(cfg)
    assert '320x320: 2' in line and '160x160: 8' in line
    shapes = shapes_of(cfg)
    assert all(shape == size for shape, size in shapes)
    assert len(set(shapes)) > 1


def test_crops_get_the_drawn_size(tmp_path: Path) -> None:
    cfg = recipe(
        'deeplabv3_mobilevit_xxs_360_camvid', tmp_path / 'a', small_camvid
    )
    use_multi_scale(cfg)
    shapes = shapes_of(cfg)
    assert all(s[0] <= d[0] and s[1] <= d[1] for s, d in shapes)
    assert len({size for _, size in shapes}) > 1
    preprocessor = cfg.model.data_preprocessor
    assert 'size' not in preprocessor and preprocessor.size_divisor == 32


def test_camera_follows_in_mono_3d(tmp_path: Path) -> None:
    cfg = recipe('monocon_mobilevit_xxs_kitti', tmp_path / 'a', small_kitti)
    use_multi_scale(cfg)
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    focal, widths = set(), set()
    for epoch in range(4):
        loader.batch_sampler.sampler.set_epoch(epoch)
        for data in loader:
            for image, sample in zip(data['inputs'], data['data_samples']):
                focal.add(round(sample.cam2img[0][0] / image.shape[-1], 2))
                widths.add(image.shape[-1])
    assert len(widths) > 1 and max(focal) - min(focal) <= 0.02


def test_anchors_in_pixels_are_refused(tmp_path: Path) -> None:
    cfg = recipe('ssdlite_emo_1m_320_coco', tmp_path / 'a', small_coco)
    with pytest.raises(UserError, match='fixed size in pixels'):
        use_multi_scale(cfg)


def test_command_trains(tmp_path: Path) -> None:
    write_coco(tmp_path / 'data', 6, size=(96, 72), val_fraction=0.4)
    status = run_command(
        'train',
        'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py',
        '--data-root',
        tmp_path / 'data',
        '--work-dir',
        tmp_path / 'work',
        '--multi-scale',
        '--epochs',
        1,
        '--batch-size',
        8,
        '--workers',
        0,
    )
    assert status == 0
    (log,) = (tmp_path / 'work').rglob('*.log')
    assert 'batches of varying size' in log.read_text()
    assert (tmp_path / 'work' / 'epoch_1.pth').exists()


def test_published_mask_rcnn(tmp_path: Path) -> None:
    cfg = recipe('mask_rcnn_mobilevit_1024_coco', tmp_path / 'a', small_coco)
    cfg.train_dataloader.batch_size = 4
    loader = Runner.build_dataloader(cfg.train_dataloader, seed=0)
    table = {s.height: s.batch_size for s in loader.batch_sampler.scales}
    assert list(table.values()) == [16, 11, 9, 7, 5, 4, 4, 3, 2, 2]
    assert min(table) == 512 and max(table) == 1280
    indices = next(iter(loader.batch_sampler))
    image = loader.dataset[indices[0]]['inputs']
    assert image.shape[1:] == (indices[0].height, indices[0].width)
