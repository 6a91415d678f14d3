"""What ``safe_load`` reads, what it replaces, and what it refuses."""

import io
import pickle
from collections import OrderedDict, deque
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.attack import Attack
from mmengine.logging import HistoryBuffer

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.safe_load import Inert, _pickle_module, safe_load


def loaded(content: Any, left_out: set[str] | None = None) -> Any:
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return safe_load(file, left_out=left_out)


@pytest.mark.parametrize('is_new', (True, False))
def test_object_of_a_foreign_class_runs_nothing(
    is_new: bool, tmp_path: Path
) -> None:
    path, attack = tmp_path / 'file.pth', Attack(tmp_path / 'touched')
    content = dict(state_dict=dict(a=torch.ones(2)), evil=attack)
    torch.save(content, path, _use_new_zipfile_serialization=is_new)
    left_out: set[str] = set()
    found = safe_load(path, left_out=left_out)
    assert found['state_dict']['a'].tolist() == [1.0, 1.0]
    assert isinstance(found['evil'], Inert)
    assert 'pathlib.Path' in left_out
    assert not attack.target.exists()
    torch.load(path, weights_only=False)  # which does run it
    assert attack.target.exists()


def test_log_history_is_one_of_mmengine() -> None:
    history = HistoryBuffer([1.5, 2.5], [1, 1])
    left_out: set[str] = set()
    found = loaded(dict(loss=history), left_out)['loss']
    assert type(found) is HistoryBuffer
    assert found.statistics('mean') == 2.0
    assert not left_out
    found.update(3.5)
    again = loaded(found)
    assert again.data[0].tolist() == [1.5, 2.5, 3.5]


@pytest.mark.parametrize(
    'value',
    [
        np.float64(0.25),
        np.int64(7),
        np.bool_(True),
        np.dtype('float32'),
        torch.bfloat16,
        torch.Size([2, 3]),
        {1, 2},
        b'\x00\xff',
        OrderedDict(a=1),
        deque([1, 2]),
        (1, [2.5, None], dict(a='b')),
    ],
    ids=repr,
)
def test_plain_values_come_back(value: object) -> None:
    found = loaded(value)
    assert type(found) is type(value)
    assert found == value


def test_tensors_of_all_kinds_come_back() -> None:
    marked = torch.nn.Parameter(torch.ones(2))
    marked.note = 'kept'
    values = [
        torch.arange(4).reshape(2, 2).T,
        torch.ones(2, dtype=torch.bfloat16),
        torch.eye(3).to_sparse(),
        marked,
    ]
    for value, found in zip(values, loaded(values)):
        assert type(found) is type(value)
        assert torch.equal(value.to_dense(), found.to_dense())
    assert found.note == 'kept'
    names = np.array(['a', 'b'])
    assert loaded(names).tolist() == ['a', 'b']


def test_torchscript_is_refused(tmp_path: Path) -> None:
    path = tmp_path / 'script.pt'
    torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    for file in (path, io.BytesIO(path.read_bytes())):
        with pytest.raises(UserError, match='TorchScript archive'):
            safe_load(file)


@pytest.mark.parametrize(
    'target', (torch.FloatStorage, torch._utils._rebuild_tensor_v2)
)
def test_classes_and_functions_stay_as_they_are(
    target: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pickle can set the state of what it has looked up."""
    name = f'c{target.__module__}\n{target.__qualname__}\n'.encode()
    state = b'N}X\x04\x00\x00\x00seenK\x01s\x86b.'
    content = b'\x80\x02' + name + state
    with pytest.raises((pickle.UnpicklingError, TypeError)):
        _pickle_module(set()).load(io.BytesIO(content))
    assert not hasattr(target, 'seen')
    monkeypatch.setattr(target, 'seen', 0, raising=False)  # removed after
    pickle.loads(content)
    assert target.seen == 1
