"""tools/make_demo_data.py: what it writes, and one line for bad input."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvt_dense.scenes import write_coco
from lvt_dense.scenes.writers import common

TOOL = Path(__file__).parents[2] / 'tools' / 'make_demo_data.py'


@pytest.fixture
def tool(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[str]]]:
    """Runs the tool; returns its exit status and lines on stderr."""

    def run(*arguments: object) -> tuple[int, list[str]]:
        monkeypatch.setattr(
            sys, 'argv', [str(TOOL), *(str(a) for a in arguments)]
        )
        status = 0
        try:
            runpy.run_path(str(TOOL), run_name='__main__')
        except SystemExit as stop:
            status = stop.code
        return status, capsys.readouterr().err.strip().splitlines()

    return run


@pytest.mark.parametrize(
    ('form', 'some_file'),
    [
        ('coco', 'annotations/instances_train2017.json'),
        ('ade20k', 'annotations/validation/ADE_val_00000001.png'),
        ('cityscapes', 'leftImg8bit/val/demo/demo_000000_000019_leftImg8bit'
         '.png'),
        ('voc', 'ImageSets/Segmentation/val.txt'),
        ('camvid', 'labels/val/demo_000000.png'),
        ('kitti', 'training/label_2/000000.txt'),
    ],
)  # fmt: skip
def test_every_format_is_written(
    form: str,
    some_file: str,
    tool: Callable[..., tuple[int, list[str]]],
    tmp_path: Path,
) -> None:
    out = tmp_path / 'deep' / form
    status, _ = tool('--format', form, '--out', out, '--images', 2,
                     '--seed', 1, '--size', '96x64')  # fmt: skip
    assert status == 0
    assert (out / some_file).is_file()
    assert [p.name for p in out.parent.iterdir()] == [form]


@pytest.mark.parametrize(
    ('arguments', 'expected'),
    [
        (('--images', 0), '0 images cannot be rendered'),
        (('--seed', -3), 'seed -3 is not allowed'),
        (('--size', '320'), "--size: '320' is not understood"),
        (('--size', '8x640'), 'image size 8x640 cannot be rendered'),
        (('--val-fraction', 1), 'a val fraction of 1.0 is not allowed'),
    ],
)
def test_bad_option_is_one_line(
    arguments: Any,
    expected: str,
    tool: Callable[..., tuple[int, list[str]]],
    tmp_path: Path,
) -> None:
    out = tmp_path / 'out'
    status, lines = tool('--format', 'coco', '--out', out, '--images', 2,
                         *arguments)  # fmt: skip
    assert status == 2
    assert len(lines) == 1 and expected in lines[0]
    assert not out.exists()


def test_full_folder_is_kept_unless_told(
    tool: Callable[..., tuple[int, list[str]]], tmp_path: Path
) -> None:
    out = write_coco(tmp_path / 'out', 2, size=(96, 64))
    before = (out / 'demo_data.json').read_text()
    base = ('--format', 'voc', '--out', out, '--images', 2, '--size', '96x64')
    status, lines = tool(*base)
    assert status == 2
    assert len(lines) == 1 and 'exists and is not empty' in lines[0]
    assert (out / 'demo_data.json').read_text() == before
    assert tool(*base, '--overwrite')[0] == 0
    assert (out / 'JPEGImages').is_dir() and not (out / 'val2017').exists()


def test_foreign_folder_is_never_replaced(
    tool: Callable[..., tuple[int, list[str]]], tmp_path: Path
) -> None:
    (tmp_path / 'thesis.txt').write_text('years of work')
    status, lines = tool('--format', 'coco', '--out', tmp_path, '--images', 2,
                         '--overwrite')  # fmt: skip
    assert status == 2
    assert len(lines) == 1 and 'was not written by this tool' in lines[0]
    assert (tmp_path / 'thesis.txt').is_file()


def test_out_below_a_file_is_one_line(
    tool: Callable[..., tuple[int, list[str]]], tmp_path: Path
) -> None:
    (tmp_path / 'file').touch()
    for out in (tmp_path / 'file', tmp_path / 'file' / 'data'):
        status, lines = tool('--format', 'coco', '--out', out, '--images', 2)
        assert status == 2 and len(lines) == 1
        assert str(tmp_path / 'file') in lines[0]


def test_nothing_is_left_of_a_broken_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = common.render

    def failing(seed: int, index: int, *rest: Any) -> Any:
        if index == 2:
            raise KeyboardInterrupt
        return rendered(seed, index, *rest)

    monkeypatch.setattr(common, 'render', failing)
    with pytest.raises(KeyboardInterrupt):
        write_coco(tmp_path / 'out', 4, size=(96, 64))
    assert list(tmp_path.iterdir()) == []


def test_far_road_users_are_small(
    tool: Callable[..., tuple[int, list[str]]], tmp_path: Path
) -> None:
    options = ('--images', 2, '--size', '960x540', '--val-fraction', 0)
    heights = {}
    for name, far in (('near', ()), ('far', ('--far',))):
        out = tmp_path / name
        status, _ = tool('--format', 'coco', '--out', out, *options, *far)
        assert not status
        text = (out / 'annotations/instances_train2017.json').read_text()
        found = json.loads(text)['annotations']
        heights[name] = [item['bbox'][3] for item in found]
    assert len(heights['far']) > len(heights['near'])
    assert max(heights['far']) < 0.1 * 540 < max(heights['near'])
    out = tmp_path / 'kitti'
    options = ('--images', 1, '--far')
    status, lines = tool('--format', 'kitti', '--out', out, *options)
    assert status == 2 and 'belongs to --format coco' in lines[-1]
    assert not out.exists()
