"""Checkpoints are whole or not there."""

import os

import pytest
import torch
from mmengine.fileio import get_file_backend

from lvt_dense import files
from lvt_dense.files import ATOMIC, newest_checkpoint, write_atomically


def test_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / 'a.json'
    write_atomically(path, 'old')

    def killed(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, 'new')
    assert path.read_text() == 'old'


def test_checkpoint_backend_writes_atomically(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(
        files, 'write_atomically', lambda path, data: written.append(path)
    )
    backend = get_file_backend(backend_args=dict(backend=ATOMIC))
    backend.put(b'1', str(tmp_path / 'epoch_1.pth'))
    assert written == [tmp_path / 'epoch_1.pth']


def test_newest_complete_checkpoint(tmp_path):
    for epoch in (2, 9, 10):
        torch.save(dict(a=torch.zeros(100)), tmp_path / f'epoch_{epoch}.pth')
    torch.save({}, tmp_path / 'best_epoch_99.pth')
    assert newest_checkpoint(tmp_path).name == 'epoch_10.pth'
    whole = (tmp_path / 'epoch_10.pth').read_bytes()
    (tmp_path / 'epoch_10.pth').write_bytes(whole[: len(whole) // 2])
    assert newest_checkpoint(tmp_path).name == 'epoch_9.pth'
    (tmp_path / 'epoch_11.pth').write_bytes(b'')
    assert newest_checkpoint(tmp_path).name == 'epoch_9.pth'


def test_no_checkpoint(tmp_path):
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / 'none') is None
