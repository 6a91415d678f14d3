"""Settings that make steps faster: where they apply, and that they hold."""

import ctypes
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseDataPreprocessor
from mmengine.optim import build_optim_wrapper
from torch import nn

from lvt_dense.config import load_config
from lvt_dense.engine import fast_step
from lvt_dense.engine.fast_step import (
    copy_ahead,
    has_one_size,
    keep_freed_memory,
    use_fast_step,
    use_fused_optimizer,
    use_merged_groups,
)
from lvt_dense.engine.multi_scale import use_multi_scale
from lvt_dense.engine.optimizers import has_separate_groups


def config(**parts: Any) -> Config:
    """A config of others, as far as it is changed."""
    return Config(
        dict(
            default_scope='mmdet',
            optim_wrapper=dict(
                optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.1),
                paramwise_cfg=dict(norm_decay_mult=0.0),
            ),
            custom_hooks=[dict(type='EMAHook', momentum=0.1)],
            train_dataloader=dict(
                dataset=dict(
                    type='CocoDataset',
                    pipeline=[
                        dict(type='Resize', scale=(32, 32), keep_ratio=False),
                        dict(type='PackDetInputs'),
                    ],
                )
            ),
            model=dict(data_preprocessor=dict(type='DetDataPreprocessor')),
        )
        | parts
    )


def wrapper_of(cfg: Config) -> Any:
    """Build the optimizer for a model of four layers."""
    model = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2), nn.Linear(2, 2))
    return build_optim_wrapper(model, cfg.optim_wrapper)


def test_config_of_others_has_few_groups_and_a_fused_update() -> None:
    before = wrapper_of(config())
    cfg = config()
    use_fast_step(cfg)
    wrapper = wrapper_of(cfg)
    assert len(before.optimizer.param_groups) == 6
    decays = [g['weight_decay'] for g in wrapper.optimizer.param_groups]
    assert decays == [0.1, 0.0]
    assert all(group['fused'] for group in wrapper.optimizer.param_groups)
    assert cfg.custom_hooks[0].type == 'lvt_dense.EMAHook'
    assert cfg.default_hooks.runtime_info.type.endswith('RuntimeInfoHook')


def test_resumed_groups_stay_separate() -> None:
    saved = wrapper_of(config()).optimizer.state_dict()['param_groups']
    assert has_separate_groups(saved)
    cfg = config()
    use_fast_step(cfg, saved)
    assert len(wrapper_of(cfg).optimizer.param_groups) == 6
    merged = config()
    use_merged_groups(merged)
    saved = wrapper_of(merged).optimizer.state_dict()['param_groups']
    assert not has_separate_groups(saved)


@pytest.mark.parametrize(
    'optimizer',
    [
        dict(type='RMSprop', lr=0.1),
        dict(type='SGD', lr=0.1, foreach=True),
        dict(type='SGD', lr=0.1, fused=False),
    ],
)
def test_other_optimizers_stay(optimizer: dict) -> None:
    cfg = config(optim_wrapper=dict(optimizer=dict(optimizer)))
    use_fused_optimizer(cfg, 'cpu')
    assert cfg.optim_wrapper.optimizer == optimizer


def train_steps(optimizer: dict, steps: int) -> list[torch.Tensor]:
    """Train a small network; return its weights."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 1))
    wrapper = build_optim_wrapper(model, dict(optimizer=optimizer))
    for _ in range(steps):
        wrapper.update_params(model(torch.randn(16, 4)).square().mean())
    return [p.detach() for p in model.parameters()]


@pytest.mark.parametrize(
    'optimizer',
    [
        dict(type='AdamW', lr=0.01, weight_decay=0.1),
        dict(type='SGD', lr=0.01, momentum=0.9, nesterov=True),
    ],
)
def test_fused_updates_are_the_same(optimizer: dict) -> None:
    expected = train_steps(dict(optimizer, foreach=False), 5)
    cfg = config(optim_wrapper=dict(optimizer=dict(optimizer)))
    use_fused_optimizer(cfg, 'cpu')
    found = train_steps(cfg.optim_wrapper.optimizer.to_dict(), 5)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-5)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the settings take this machine for one with a GPU."""
    precision = torch.get_float32_matmul_precision()
    monkeypatch.setattr(fast_step, 'get_device', lambda: 'cuda')
    yield
    torch.set_float32_matmul_precision(precision)


def test_on_a_gpu(cuda: None) -> None:
    cfg = config()
    use_fast_step(cfg)
    assert cfg.train_dataloader.pin_memory
    assert torch.get_float32_matmul_precision() == 'high'
    kinds = [hook.type for hook in cfg.custom_hooks]
    assert 'lvt_dense.CudnnBenchmarkHook' in kinds


def test_deterministic_runs_keep_their_precision(cuda: None) -> None:
    cfg = config(randomness=dict(deterministic=True))
    use_fast_step(cfg)
    assert torch.get_float32_matmul_precision() == 'highest'
    assert len(cfg.custom_hooks) == 1


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('ssdlite_mobilevit_xxs_320_coco', True),
        ('rtmdet_emo_1m_coco', True),
        ('deeplabv3_emo_1m_512_ade20k', True),
        ('retinanet_emo_1m_coco', False),
        ('monocon_mobilevit_xxs_kitti', False),
    ],
)
def test_recipes_of_one_size(name: str, expected: bool) -> None:
    cfg = load_config(f'lvt_dense::{name}.py')
    assert has_one_size(cfg) == expected
    if expected and name.startswith('ssdlite'):
        use_multi_scale(cfg)
        assert not has_one_size(cfg)


def test_batches_are_copied_ahead() -> None:
    model = nn.Sequential(BaseDataPreprocessor())
    copy_ahead(model)
    assert model[0]._non_blocking


def test_freed_memory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    class Library:
        def mallopt(self, name: int, value: int) -> int:
            calls.append((name, value))
            return 1

    monkeypatch.setattr(ctypes, 'CDLL', lambda name: Library())
    monkeypatch.setattr('platform.libc_ver', lambda: ('glibc', '2.36'))
    keep_freed_memory()
    assert calls == [(-4, 0), (-1, 2**31 - 1)]
    monkeypatch.setattr('platform.libc_ver', lambda: ('', ''))
    keep_freed_memory()
    assert len(calls) == 2
