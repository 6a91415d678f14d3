"""Reading checkpoint files of strangers."""

import os
import pickle
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lvt_dense.checkpoints import read_state_dict
from lvt_dense.utils.errors import UserError

STATE = {'a.weight': torch.arange(6.0).view(2, 3), 'a.bias': torch.ones(2)}


def saved(folder: Path, content: Any, **kwargs: Any) -> str:
    path = folder / 'file.pth'
    torch.save(content, path, **kwargs)
    return str(path)


def check(source: str) -> None:
    found = read_state_dict(source)
    assert found.keys() == STATE.keys()
    assert all(torch.equal(found[key], STATE[key]) for key in STATE)


@pytest.mark.parametrize(
    'content',
    (
        STATE,
        OrderedDict(STATE),
        {'state_dict': STATE, 'epoch': 3, 'optimizer': {'lr': 0.1}},
        {'model': STATE},
        {'net': {k: 0 * v for k, v in STATE.items()}, 'net_E': STATE},
        {'state_dict': {}, 'state_dict_ema': STATE},
        {'model': {'state_dict': STATE}, 'cfg': [1, (2, 'x'), {'y': None}]},
        {f'module.{key}': value for key, value in STATE.items()},
        {'model_ema': {f'module.{k}': v for k, v in STATE.items()}},
    ),
)
def test_wrappings(content: dict, tmp_path: Path) -> None:
    check(saved(tmp_path, content))


def test_old_format_and_parameters(tmp_path: Path) -> None:
    parameters = {k: torch.nn.Parameter(v) for k, v in STATE.items()}
    source = saved(tmp_path, parameters, _use_new_zipfile_serialization=False)
    check(source)
    assert not any(v.requires_grad for v in read_state_dict(source).values())


def test_kinds_of_numbers(tmp_path: Path) -> None:
    state = {
        'half': torch.ones(3, dtype=torch.float16),
        'brain': torch.ones(3, dtype=torch.bfloat16),
        'count': torch.tensor(7),
        'part': torch.arange(12.0).view(3, 4)[:, 1:3],
    }
    found = read_state_dict(saved(tmp_path, {'state_dict': state}))
    for key, value in state.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)


class Config(SimpleNamespace):
    """Stands for the config objects that training codes save along."""


def test_foreign_objects_are_inert(tmp_path: Path) -> None:
    source = saved(tmp_path, {'model': STATE, 'cfg': Config(lr=0.1)})
    check(source)


class Attack:
    """Writes a file when it is unpickled by a careless reader."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple:
        return Path.touch, (self.target,)


class Sneaky:
    """Reaches for a builtin instead."""

    def __reduce__(self) -> tuple:
        return eval, ("__import__('os').environ.__setitem__('OWNED', '1')",)


@pytest.mark.parametrize('new_format', (True, False))
def test_malicious_file_runs_nothing(
    new_format: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv('OWNED', raising=False)
    target = tmp_path / 'touched'
    source = saved(
        tmp_path,
        {'state_dict': STATE, 'evil': Attack(target), 'worse': Sneaky()},
        _use_new_zipfile_serialization=new_format,
    )
    check(source)
    assert not target.exists()
    assert 'OWNED' not in os.environ
    # the same file does run code when it is read without care
    torch.load(source, weights_only=False)
    assert target.exists()
    assert os.environ['OWNED'] == '1'


def test_plain_pickle_runs_nothing(tmp_path: Path) -> None:
    target = tmp_path / 'touched'
    path = tmp_path / 'file.pth'
    path.write_bytes(pickle.dumps(Attack(target)))
    with pytest.raises(UserError, match='cannot be read'):
        read_state_dict(str(path))
    assert not target.exists()


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match='nowhere.pth does not exist'):
        read_state_dict(str(tmp_path / 'nowhere.pth'))
    with pytest.raises(UserError, match=r'is a folder without model\.safe'):
        read_state_dict(str(tmp_path))


def test_truncated_file(tmp_path: Path) -> None:
    path = Path(saved(tmp_path, {'state_dict': STATE}))
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 20):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match='is the file complete'):
            read_state_dict(str(path))


def test_no_tensors(tmp_path: Path) -> None:
    for content in (
        {},
        {'state_dict': {}},
        [1, 2],
        {'epoch': 3},
        STATE['a.bias'],
    ):
        with pytest.raises(UserError, match='holds no tensors by name'):
            read_state_dict(saved(tmp_path, content))


def test_safetensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / 'file.safetensors'
    path.write_bytes(b'')
    try:
        from safetensors.torch import save_file
    except ImportError:
        with pytest.raises(
            UserError, match='safetensors, which is not installed'
        ):
            read_state_dict(str(path))
    else:
        save_file(STATE, path)
        check(str(path))
