"""Shards, journal and attempts, which need neither Ray nor PyArrow."""

import csv
import json
import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from batch_predict.shards import Attempts, Run, cut, digest, find_images

from lvt_dense.runtime.errors import InputError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ('b.png', 'a/c.JPG', 'a/notes.txt', '.hidden.png', 'd.png'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b'')
    return tmp_path / 'images'


def finish(run: Run, number: int, failures: tuple = ()) -> None:
    shard = run.shards[number]
    path = run.out / shard.file
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b'rows')
    run.note(
        dict(
            shard=number,
            images=len(shard.images),
            failures=list(failures),
            bytes=4,
        )
    )


def test_images_are_found_below_a_folder(folder: Path) -> None:
    assert find_images(folder) == (folder, ['a/c.JPG', 'b.png', 'd.png'])


def test_a_list_names_images(folder: Path) -> None:
    names = folder / 'list.txt'
    names.write_text('d.png\n\nb.png\n')
    assert find_images(names) == (folder, ['d.png', 'b.png'])
    names.write_text('d.png\nb.png\nd.png\n')
    with pytest.raises(InputError, match=r'names d\.png twice'):
        find_images(names)
    with pytest.raises(InputError, match='give a folder, or a .txt'):
        find_images(folder / 'b.png')


@pytest.mark.parametrize('size', [1, 3, 4, 7, 100])
def test_shards_hold_each_image_once(size: int) -> None:
    names = [f'{i}.png' for i in range(7)]
    shards = cut(names, size)
    assert [name for shard in shards for name in shard.images] == names
    assert len({shard.file for shard in shards}) == len(shards)


def test_a_run_goes_on_where_it_ended(folder: Path, tmp_path: Path) -> None:
    out, settings = tmp_path / 'out', dict(model='m')
    run = Run(out, folder, settings, 1)
    finish(run, 0)
    finish(run, 2)
    with open(out / 'journal.jsonl', 'a') as file:
        file.write('{"shard": 1, "ima')  # killed in the middle of a line
    (folder / 'later.png').write_bytes(b'')
    run = Run(out, folder, settings, 1)
    assert run.images == ['a/c.JPG', 'b.png', 'd.png']
    assert [shard.number for shard in run.todo] == [1]
    finish(run, 1)
    assert not Run(out, folder, settings, 1).todo
    (out / run.shards[2].file).write_bytes(b'cut')
    (out / run.shards[0].file).unlink()
    run = Run(out, folder, settings, 1)
    assert [shard.number for shard in run.todo] == [0, 2]


def test_other_settings_are_refused(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    Run(out, folder, dict(model='m'), 2)
    with pytest.raises(InputError, match=r'another model \(m, not n\)'):
        Run(out, folder, dict(model='n'), 2)
    with pytest.raises(InputError, match=r'another shard_size \(2, not 3\)'):
        Run(out, folder, dict(model='m'), 3)
    (out / 'run.json').unlink()
    (out / 'results').mkdir()
    (out / 'results' / 'part-000000.parquet').write_bytes(b'')
    with pytest.raises(InputError, match='results without a run.json'):
        Run(out, folder, dict(model='m'), 2)


def test_merge_lists_failures(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / 'out'
    run = Run(out, folder, {}, 2)
    finish(run, 1, [['d.png', 'broken']])
    with pytest.raises(InputError, match='000000.parquet has 0 of 2 images'):
        run.merge()
    finish(run, 0)
    (out / 'results' / 'part-000000.parquet.7.partial').write_bytes(b'')
    assert run.merge() == dict(images=3, shards=2, failures=1)
    with open(out / 'failures.csv', newline='') as file:
        assert list(csv.reader(file)) == [
            ['image', 'reason'],
            ['d.png', 'broken'],
        ]
    assert json.loads((out / 'summary.json').read_text())['images'] == 3
    assert not list(out.glob('results/*.partial'))


def test_the_first_attempt_notes_no_image(tmp_path: Path) -> None:
    path = tmp_path / 'attempt'
    attempts = Attempts(path)
    before = path.read_text()
    assert not attempts.is_deadly('a')
    assert path.read_text() == before
    attempts.finish()
    assert not path.exists()


def _work(path: Path, deadly: set[str]) -> None:
    attempts = Attempts(path)
    for image in 'abcd':
        if not attempts.is_deadly(image) and image in deadly:
            os.kill(os.getpid(), signal.SIGKILL)
    attempts.finish()


def test_deadly_images_are_left_out(tmp_path: Path) -> None:
    path, codes = tmp_path / 'attempt', []
    for _ in range(10):
        process = multiprocessing.get_context('fork').Process(
            target=_work, args=(path, {'b', 'd'})
        )
        process.start()
        process.join()
        codes.append(process.exitcode)
        if process.exitcode == 0:
            break
    # One death unwatched, and two watched ones for each of both.
    assert codes == [-signal.SIGKILL] * 5 + [0]
    assert not path.exists()


def test_digest_changes_with_a_file(tmp_path: Path) -> None:
    one, two = tmp_path / 'a.xml', tmp_path / 'a.bin'
    one.write_text('x')
    first = digest(one, two)
    assert digest(one) == first
    two.write_text('y')
    assert digest(one, two) != first
