"""The shipped configs of the monocular 3D heads."""

import re
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS as DET_MODELS
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import (
    PARAM_SCHEDULERS,
    TRANSFORMS,
    init_default_scope,
)

from lvt_dense.apis.zoo import macs
from lvt_dense.datasets.transforms import LoadImageFromFile
from lvt_dense.registry import MODELS

CONFIGS = Path(__file__).parents[3] / 'configs'
NAMES = sorted(
    path.stem
    for head in ('monocon', 'fcos3d')
    for path in CONFIGS.glob(f'{head}_*.py')
)


def _load(name: str) -> Config:
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIGS / f'{name}.py')
    cfg.model.backbone.pop('init_cfg', None)
    kind = cfg.model.backbone.type.split('.')[-1]
    if MODELS.get(kind) is None:
        pytest.skip(f'there is no {kind} yet')
    return cfg


def test_both_heads_have_a_config_for_every_family() -> None:
    for family in ('mobilevit', 'emo', 'nasvit', 'plg_vit', 't2t_vit'):
        assert f'monocon_{family}_kitti' in NAMES
        assert f'fcos3d_{family}_kitti' in NAMES


@pytest.mark.parametrize('name', NAMES)
def test_model_fits_together(name: str) -> None:
    cfg = _load(name)
    detector = DET_MODELS.build(cfg.model).eval()
    backbone = detector.backbone
    assert tuple(cfg.model.neck.in_channels) == tuple(backbone.out_channels)
    assert tuple(backbone.out_strides) == (4, 8, 16, 32)
    for key, value in backbone.input_norm.items():
        assert cfg.model.data_preprocessor[key] == value
    with torch.no_grad():
        out = detector(torch.randn(1, 3, 64, 96))
    first = out if isinstance(out, dict) else out[0]
    assert first['depth'].shape[-2:] == (16, 24)
    assert all(value.isfinite().all() for value in first.values())


@pytest.mark.release
@pytest.mark.parametrize('name', [n for n in NAMES if n.endswith('_kitti')])
def test_header_states_size_and_cost(name: str) -> None:
    """Parameters used in prediction, and multiply-accumulates."""
    cfg = _load(name)
    lines = (CONFIGS / f'{name}.py').read_text().splitlines()
    text = ' '.join(line.removeprefix('#').strip() for line in lines)
    stated = re.search(r'([\d.]+) M parameters, ([\d.]+) GMACs', text)
    if name == 'monocon_mobilevit_xxs_kitti':
        assert stated is None
        return
    with torch.device('meta'):
        detector = DET_MODELS.build(cfg.model).eval()
    count = sum(
        weight.numel()
        for key, weight in detector.named_parameters()
        if 'branches.keypoint_' not in key
    )
    assert stated[1] == f'{count / 1e6:.2f}'
    assert stated[2] == f'{macs(detector, 384, 1248) / 1e9:.1f}'


@pytest.mark.parametrize('name', NAMES)
def test_every_pipeline_loads_images_by_our_loader(name: str) -> None:
    cfg = _load(name)
    for split, skips in (('train', True), ('val', False), ('test', False)):
        step = cfg[f'{split}_dataloader'].dataset.pipeline[0]
        loader = TRANSFORMS.build(step)
        assert isinstance(loader, LoadImageFromFile)
        assert loader.skip_unreadable is skips


def test_one_cycle_of_learning_rate_and_momentum() -> None:
    """MonoCon's: x10 at 40 %, then to 1e-4; 0.95, 0.85, 0.95."""
    init_default_scope('mmdet')
    cfg = Config.fromfile(CONFIGS / '_base_/schedules/monocon_200e.py')
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 1, 1), torch.nn.BatchNorm2d(1)
    )
    optim = build_optim_wrapper(model, cfg.optim_wrapper)
    steps = 5
    schedulers = [
        PARAM_SCHEDULERS.get(item.pop('type')).build_iter_from_epoch(
            optim, epoch_length=steps, **item
        )
        for item in cfg.param_scheduler
        if item.pop('convert_to_iter_based')
    ]
    seen = {}
    for step in range(cfg.max_epochs * steps):
        weight, bias = optim.param_groups[:2]
        seen[step] = weight['lr'], bias['lr'], weight['betas'][0]
        optim.optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    weight, bias, norm = optim.optimizer.param_groups
    assert seen[0] == pytest.approx((2.25e-4, 4.5e-4, 0.95))
    assert seen[200] == pytest.approx(
        (2.25e-4 * 5.5, 4.5e-4 * 5.5, 0.9), rel=1e-3
    )
    assert seen[400] == pytest.approx((2.25e-3, 4.5e-3, 0.85), rel=1e-3)
    assert 0 < weight['lr'] < bias['lr'] < 1e-7
    assert weight['betas'][0] == pytest.approx(0.95)
    assert weight['betas'][1] == 0.99
    assert (weight['weight_decay'], bias['weight_decay']) == (1e-5, 0)
    assert norm['weight_decay'] == 0
