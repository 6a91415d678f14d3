"""What checkpoints of this stack may bring along."""

import io
import pickle

import pytest
import torch
from mmengine.logging import HistoryBuffer

from lvt_dense.compat.stack import allow_own_checkpoints


class Reaching:
    """Asks for the globals of a function, on the way to any other."""

    def __reduce__(self) -> tuple:
        return getattr, (torch._utils._rebuild_tensor_v2, '__globals__')


def saved(content: object) -> io.BytesIO:
    file = io.BytesIO()
    torch.save(content, file)
    file.seek(0)
    return file


def test_log_history_is_read() -> None:
    allow_own_checkpoints()
    history = HistoryBuffer()
    history.update(1.5)
    found = torch.load(saved(dict(loss=history)), weights_only=True)
    assert found['loss'].current() == 1.5


def test_attributes_of_anything_else_are_refused() -> None:
    allow_own_checkpoints()
    errors = (ValueError, pickle.UnpicklingError)
    with pytest.raises(errors, match='__globals__|getattr'):
        torch.load(saved(Reaching()), weights_only=True)
