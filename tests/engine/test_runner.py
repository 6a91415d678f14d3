"""Errors of a run are replaced by their causes."""

import errno
import os
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from torch import nn

from lvt_dense.engine.runner import (
    check_sync_norms,
    explain_errors,
    use_launcher,
)
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
