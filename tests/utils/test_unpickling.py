"""Pickles of data are read, and code in them is not run."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from lvt_dense.utils.unpickling import DataUnpickler


class _MakesFolder:
    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple:
        return os.mkdir, (self.path,)


def _load(content: object, unpickler: type[DataUnpickler]) -> object:
    return unpickler(io.BytesIO(pickle.dumps(content))).load()


def test_plain_data_and_arrays_come_back() -> None:
    content = dict(a=[1, 'b', None], c=np.arange(3.0), d=np.float32(2))
    found = _load(content, DataUnpickler)
    assert found['a'] == content['a'] and found['d'] == 2
    assert np.array_equal(found['c'], content['c'])


def test_code_is_refused_or_replaced_and_never_run(tmp_path: Path) -> None:
    class Lenient(DataUnpickler):
        substitute = list

    content = dict(x=_MakesFolder(tmp_path / 'run'))
    with pytest.raises(pickle.UnpicklingError, match='posix.mkdir|nt.mkdir'):
        _load(content, DataUnpickler)
    assert _load(content, Lenient)['x'] == list(str(tmp_path / 'run'))
    assert not (tmp_path / 'run').exists()
