"""Checkpoints are whole or not there."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NoReturn

import pytest
import torch
from mmengine.fileio import get_file_backend

from lvt_dense.utils import files
from lvt_dense.utils.files import (
    ATOMIC,
    duplicate,
    newest_checkpoint,
    write_atomically,
)


def test_interrupted_write_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'a.json'
    write_atomically(path, 'old')

    def killed(*args: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', killed)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, 'new')
    assert path.read_text() == 'old'


def test_checkpoint_backend_writes_atomically(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    monkeypatch.setattr(
        files, 'write_atomically', lambda path, data: written.append(path)
    )
    backend = get_file_backend(backend_args=dict(backend=ATOMIC))
    backend.put(b'1', str(tmp_path / 'epoch_1.pth'))
    assert written == [tmp_path / 'epoch_1.pth']


def full_disk(*args: object) -> None:
    """Fail as a full disk does: without the name of the file."""
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_full_disk_leaves_the_old_file_and_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / 'a.json'
    write_atomically(path, 'old')
    monkeypatch.setattr(os, 'fsync', full_disk)
    with pytest.raises(OSError, match='a.json'):
        write_atomically(path, 'new')
    assert [p.name for p in tmp_path.iterdir()] == ['a.json']
    assert path.read_text() == 'old'


def test_old_checkpoint_goes_when_the_new_one_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = (str(tmp_path / name) for name in ('best_1.pth', 'best_2.pth'))
    # the hook and the runner of MMEngine each have a backend of their own
    hook, runner = (
        get_file_backend(backend_args=dict(backend=ATOMIC)) for _ in range(2)
    )
    runner.put(b'1', old)
    hook.remove(old)
    with monkeypatch.context() as patch, pytest.raises(OSError):
        patch.setattr(os, 'fsync', full_disk)
        runner.put(b'2', new)
    assert Path(old).read_bytes() == b'1'
    runner.put(b'2', new)
    assert [p.name for p in tmp_path.iterdir()] == ['best_2.pth']
    hook.remove(new)
    runner.put(b'3', new)
    assert Path(new).read_bytes() == b'3'


def test_newest_complete_checkpoint(tmp_path: Path) -> None:
    for epoch in (2, 9, 10):
        torch.save(dict(a=torch.zeros(100)), tmp_path / f'epoch_{epoch}.pth')
    torch.save({}, tmp_path / 'best_epoch_99.pth')
    assert newest_checkpoint(tmp_path).name == 'epoch_10.pth'
    whole = (tmp_path / 'epoch_10.pth').read_bytes()
    (tmp_path / 'epoch_10.pth').write_bytes(whole[: len(whole) // 2])
    assert newest_checkpoint(tmp_path).name == 'epoch_9.pth'
    (tmp_path / 'epoch_11.pth').write_bytes(b'')
    assert newest_checkpoint(tmp_path).name == 'epoch_9.pth'


def test_no_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    assert newest_checkpoint(tmp_path / 'none') is None


def test_threads_write_the_same_file(tmp_path: Path) -> None:
    path, texts = tmp_path / 'a.txt', [str(i) * 1000 for i in range(40)]
    with ThreadPoolExecutor(8) as pool:
        writes = [
            pool.submit(write_atomically, path, text, sync=False)
            for text in texts
        ]
    for write in writes:
        write.result()
    assert path.read_text() in texts
    assert [p.name for p in tmp_path.iterdir()] == ['a.txt']


@pytest.mark.parametrize('has_links', (True, False))
def test_second_name_of_a_file(
    has_links: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not has_links:
        monkeypatch.setattr(os, 'link', full_disk)
    source, target = tmp_path / 'epoch_3.pth', tmp_path / 'best.pth'
    target.write_text('old')
    write_atomically(source, 'new')
    duplicate(source, target)
    write_atomically(source, 'newer')
    assert target.read_text() == 'new'
    assert len(list(tmp_path.iterdir())) == 2
