"""The cache of what is derived from data, whole and damaged."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock
from helpers.own_data import make_shots, write_coco
from PIL import Image

from lvt_dense.datasets.image_files import read_headers
from lvt_dense.utils import cache as cache_module
from lvt_dense.utils.cache import locked, read_records, store, write_records
from lvt_dense.utils.errors import UserError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'lvt_dense'


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == 'cut':
        path.write_bytes(content[: len(content) // 2])
    elif how == 'other':
        path.write_text('{"version": 1, "entries": []}')
    elif how == 'empty':
        path.write_bytes(b'')
    else:  # a digit that is still one
        path.write_bytes(content.replace(b'1', b'7'))


DAMAGES = ('cut', 'other', 'empty', 'digit')


@pytest.mark.parametrize('how', DAMAGES)
def test_damaged_records_are_no_records(
    tmp_path: Path, cache: Path, how: str
) -> None:
    entries = {'a.png': [1, 2, 'RGB']}
    write_records('headers', tmp_path, 1, entries)
    assert read_records('headers', tmp_path, 1) == entries
    assert read_records('headers', tmp_path, 2) == {}
    (path,) = cache.iterdir()
    damage(path, how)
    assert read_records('headers', tmp_path, 1) == {}


@pytest.mark.parametrize('how', DAMAGES)
def test_sizes_of_images_outlive_a_damaged_cache(
    tmp_path: Path, cache: Path, how: str
) -> None:
    image = tmp_path / 'a.png'
    Image.new('RGB', (17, 11)).save(image)
    whole = read_headers(tmp_path, [image])
    (path,) = cache.iterdir()
    before = path.read_bytes()
    damage(path, how)
    assert read_headers(tmp_path, [image]) == whole
    assert whole[image].upright_size == (17, 11)
    assert path.read_bytes() == before


@pytest.mark.parametrize('how', DAMAGES)
def test_damaged_copy_is_written_again(how: str) -> None:
    content = b'{"images": [{"id": 1}]}'
    path = store('coco', 'train.json', content)
    damage(path, how)
    assert store('coco', 'train.json', content) == path
    assert path.read_bytes() == content


HOLD = """
import sys, time
from filelock import FileLock
FileLock(sys.argv[1]).acquire()
print('held', flush=True)
time.sleep(600)
"""
PREPARE = """
import sys, time
from lvt_dense.config import load_config
from lvt_dense.datasets.own import api
prepare = api._prepare
def slowly(*args):
    print('prepares', flush=True)
    time.sleep(5)  # longer than others wait without a word
    return prepare(*args)
api._prepare = slowly
cfg = load_config('lvt_dense::ssdlite_mobilevit_xxs_320_coco.py')
print('ready', flush=True)
sys.stdin.readline()
api.use_data(cfg, sys.argv[1])
print(cfg.train_dataloader.dataset.ann_file)
"""


def start(program: str, *args: object) -> subprocess.Popen[str]:
    """Run a program up to its first line."""
    process = subprocess.Popen(
        [sys.executable, '-W', 'ignore', '-c', program, *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=dict(os.environ),
    )
    assert process.stdout is not None
    while process.stdout.readline().strip() not in ('held', 'ready'):
        assert process.poll() is None
    return process


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    path = tmp_path / 'a' / 'made.json'
    path.parent.mkdir()
    holder = start(HOLD, f'{path}.lock')
    holder.kill()
    holder.communicate()
    begin = time.perf_counter()
    with locked(path, 'reads it'):
        assert time.perf_counter() - begin < 2


def test_lock_that_is_held_for_too_long(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        cache_module, 'print_log', lambda line, logger: said.append(line)
    )
    monkeypatch.setattr(cache_module, '_QUIET', 0.05)
    monkeypatch.setattr(cache_module, '_PATIENCE', 0.1)
    path = tmp_path / 'made.json'
    with FileLock(f'{path}.lock'):
        words = f'process, which reads --data X; .* remove {path}.lock'
        expected = pytest.raises(UserError, match=words)
        with expected, locked(path, 'reads --data X'):
            pytest.fail('two processes have the lock')
    assert said == ['waiting for another process, which reads --data X']


@pytest.mark.release
def test_of_two_processes_one_prepares_the_data(tmp_path: Path) -> None:
    root = write_coco(tmp_path / 'data', make_shots())
    processes = [start(PREPARE, root) for _ in range(2)]
    found: list[str] = []

    def run(process: subprocess.Popen[str]) -> None:
        found.append(process.communicate('go\n', timeout=240)[0])

    threads = [threading.Thread(target=run, args=(p,)) for p in processes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.returncode for p in processes] == [0, 0]
    assert sum(text.count('prepares') for text in found) == 1
    (waited,) = [text for text in found if 'prepares' not in text]
    assert f'waiting for another process, which reads --data {root}' in waited
    assert len({text.split()[-1] for text in found}) == 1
