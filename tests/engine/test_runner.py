"""Errors of a run are replaced by their causes."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from lvt_dense.engine.runner import (
    avoid_mps,
    check_sync_norms,
    explain_errors,
    fit_windows,
    pool_deterministically,
    use_launcher,
)
from lvt_dense.models.backbones.plg_vit import pool_to_window
from lvt_dense.utils.errors import UserError


def test_full_disk_is_one_line_with_the_way_on(tmp_path: Path) -> None:
    torch.save(dict(a=torch.zeros(1)), tmp_path / 'epoch_3.pth')
    cfg = Config(dict(work_dir=str(tmp_path)))
    with pytest.raises(UserError) as caught, explain_errors(cfg):
        raise OSError(
            errno.ENOSPC, os.strerror(errno.ENOSPC), '/disk/epoch_4.pth'
        )
    message = str(caught.value)
    assert message.startswith('/disk/epoch_4.pth cannot be written: No space')
    assert f'{tmp_path / "epoch_3.pth"} is whole' in message
    assert '--resume' in message


@pytest.mark.parametrize('name', ['extra', 'pool'])
def test_layer_that_a_lone_image_stops_is_named(name: str) -> None:
    inner = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(4))
    model = nn.Sequential()
    model.add_module('body', nn.BatchNorm2d(4))
    model.add_module(name, inner)
    with (
        pytest.raises(UserError, match=f'batch norm {name}.1 sees one pixel'),
        explain_errors(Config()),
    ):
        model(torch.zeros(1, 4, 8, 8))
    with pytest.raises(ValueError, match='4D input') as caught:  # noqa: SIM117
        with explain_errors(Config()):
            model(torch.zeros(4, 4))
    assert not isinstance(caught.value, UserError)


def test_other_errors_stay(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match='other'), explain_errors(Config()):
        raise RuntimeError('other')


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        (None, 'MMDistributedDataParallel'),
        (dict(type='Own', detect_anomalous_params=True), 'Own'),
    ],
)
def test_wrapper_of_the_config_stays_on_a_cpu(
    given: dict | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('RANK', '0')
    monkeypatch.setattr('lvt_dense.engine.runner.get_device', lambda: 'cpu')
    started = []
    monkeypatch.setattr('torch.distributed.init_process_group', started.append)
    cfg = Config(dict(model_wrapper_cfg=given, sync_bn='torch'))
    use_launcher(cfg, 'pytorch')
    wrapper = cfg.model_wrapper_cfg
    assert (wrapper.type, wrapper.device_ids) == (expected, None)
    assert wrapper.broadcast_buffers is False
    assert wrapper.get('detect_anomalous_params') == (given and True)
    assert (started, cfg.sync_bn) == (['gloo'], None)


class _NormWithAct(nn.BatchNorm2d):
    def __init__(self, channels: int) -> None:
        super().__init__(channels)
        self.act = nn.ReLU()


def test_sync_bn_that_loses_activations_is_refused() -> None:
    plain = nn.Sequential(nn.BatchNorm2d(2))
    check_sync_norms(nn.SyncBatchNorm.convert_sync_batchnorm(plain))
    lossy = nn.Sequential(_NormWithAct(2))
    check_sync_norms(lossy)
    with pytest.raises(UserError, match='activation inside of .* 0: set'):
        check_sync_norms(nn.SyncBatchNorm.convert_sync_batchnorm(lossy))


def test_pooling_has_a_deterministic_form() -> None:
    """PyTorch's own raises on a GPU, in PSPNet's head and LW PLG-ViT."""
    torch.manual_seed(0)
    x = torch.randn(2, 3, 11, 14)
    for side in (1, 2, 3, 6):
        model = nn.Sequential(nn.AdaptiveAvgPool2d(side))
        expected = model(x)
        pool_deterministically(model)
        with no_adaptive_pooling():
            torch.testing.assert_close(model(x), expected)
    for mode in ('max', 'mean'):
        expected = pool_to_window(x, mode)
        torch.use_deterministic_algorithms(True)
        try:
            with no_adaptive_pooling():
                torch.testing.assert_close(pool_to_window(x, mode), expected)
        finally:
            torch.use_deterministic_algorithms(False)


@contextmanager
def no_adaptive_pooling() -> Iterator[None]:
    """Let PyTorch's adaptive pooling fail, as its gradients do."""

    def fail(*args: object) -> None:
        raise RuntimeError('no deterministic implementation')

    with pytest.MonkeyPatch.context() as patch:
        for kind in ('max', 'avg'):
            patch.setattr(nn.functional, f'adaptive_{kind}_pool2d', fail)
        yield


@pytest.mark.parametrize(
    ('test_cfg', 'message'),
    [
        (dict(mode='slide', crop_size=(64, 64)), 'stride is None: .*steps'),
        (dict(mode='slide', stride=(9, 9)), 'crop_size is None: .*window'),
        (dict(mode='slide', stride=(9, 9), crop_size=(0, 4)), 'crop_size is'),
        (dict(mode='slide', stride=(9, 9, 9), crop_size=64), 'stride is'),
    ],
)
def test_sliding_windows(test_cfg: dict, message: str) -> None:
    with pytest.raises(UserError, match=f'model.test_cfg.{message}'):
        fit_windows(Config(dict(model=dict(test_cfg=test_cfg))))


def test_a_number_stands_for_a_square() -> None:
    test_cfg = dict(mode='slide', crop_size=64, stride=42)
    cfg = Config(dict(model=dict(test_cfg=test_cfg)))
    fit_windows(cfg)
    assert cfg.model.test_cfg.crop_size == (64, 64)
    assert cfg.model.test_cfg.stride == (42, 42)


@pytest.mark.parametrize(('found', 'used'), [('mps', 'cpu'), ('cuda', 'cuda')])
def test_macs_train_on_the_cpu(
    found: str, used: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mmengine import device

    monkeypatch.setattr(device.utils, 'DEVICE', found)
    avoid_mps()
    assert device.get_device() == used
