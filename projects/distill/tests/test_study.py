"""The study: what is run, what is not run again, and the table."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distill import study

from lvt_dense.config import load_config
from lvt_dense.utils.errors import UserError


def images_at(root: Path) -> Path:
    folder = root / 'images' / 'train'
    folder.mkdir(parents=True)
    for index in range(25):
        (folder / f'{index:02}.png').write_bytes(b'')
    return root


class FakeCommand:
    """Notes command lines, and leaves what a training would log."""

    def __init__(self, metric: str) -> None:
        self.metric, self.lines, self.status = metric, [], 0

    def __call__(self, words: list[str]) -> Any:
        self.lines.append(words)
        work = Path(words[words.index('--work-dir') + 1])
        folder = work / 'now' / 'vis_data'
        folder.mkdir(parents=True, exist_ok=True)
        rows = [dict(loss=1.0, time=0.25), {self.metric: 40.0}]
        text = '\n'.join(map(json.dumps, rows))
        (folder / 'scalars.json').write_text(text)
        return SimpleNamespace(returncode=self.status)


def run(monkeypatch: pytest.MonkeyPatch, root: Path, name: str) -> FakeCommand:
    made = FakeCommand(study.make_study(name, 'xs').metric)
    monkeypatch.setattr(subprocess, 'run', made)
    options = ['--data-root', root, '--out', root / 'out', '--seeds', 0, 1]
    words = ['study.py', name, '--teacher', 'xs', *options]
    monkeypatch.setattr(sys, 'argv', [str(word) for word in words])
    study.main()
    return made


def test_each_run_once_and_the_table(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = images_at(tmp_path)
    made = run(monkeypatch, root, 'camvid')
    assert len(made.lines) == 1 + 2 * 2
    taught = [words for words in made.lines if '--teacher' in words]
    assert len(taught) == 2
    best = str(root / 'out' / 'teacher_xs_seed0' / 'best.pth')
    assert all(best in words for words in taught)
    table = capsys.readouterr().out
    assert '| taught | 40.00, 40.00 | 40.00 | 0.25 |' in table
    assert run(monkeypatch, root, 'camvid').lines == []


def test_a_tenth_keeps_its_labels(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    root = images_at(tmp_path)
    made = run(monkeypatch, root, 'tenth')
    option = 'train_dataloader.dataset.indices=[0,10,20]'
    # The teacher has seen no more labels than its students.
    assert all(option in words for words in made.lines)
    # As many updates from a tenth of the images as from all.
    for words in made.lines:
        epochs = words[words.index('--epochs') + 1]
        assert epochs == ('16' if '--unlabeled' in words else '160')
    links = sorted((root / 'out' / 'unlabeled').iterdir())
    assert len(links) == 22 and links[0].name == '01.png'


def test_failed_run_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = FakeCommand('mIoU')
    made.status = 2
    monkeypatch.setattr(subprocess, 'run', made)
    args = SimpleNamespace(
        out=tmp_path, data_root=tmp_path, epochs=1, seeds=[0]
    )
    plan = study.make_study('camvid', 'xs')
    with pytest.raises(UserError, match='teacher_xs_seed0 ended with the'):
        study.train(plan.teachers[0], 0, args, plan)
    assert 'not run' in study.make_table(plan, tmp_path)


@pytest.mark.parametrize('path', sorted(study.CONFIGS.glob('*.py')))
def test_configs_load(path: Path) -> None:
    assert load_config(str(path)).model.backbone.type == 'lvt_dense.MobileViT'
