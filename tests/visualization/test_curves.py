"""Learning curves of a training in two parts."""

import json
from pathlib import Path

import mmcv
import pytest

from lvt_dense.utils.errors import UserError
from lvt_dense.visualization.curves import draw_curves, read_curves


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    runs = {
        '20260101_000000': [
            dict(loss=2.0, step=50, lr=1e-3),
            dict(loss=9.0, step=100, lr=1e-3),
            dict(mIoU=10.0, aAcc=50.0, time=1.0, data_time=0.1, step=100),
        ],
        '20260101_010000': [
            dict(loss=1.0, step=100, lr=1e-3),
            dict(mIoU=30.0, aAcc=70.0, time=1.0, data_time=0.1, step=200),
        ],
    }
    for name, entries in runs.items():
        folder = tmp_path / name / 'vis_data'
        folder.mkdir(parents=True)
        lines = '\n'.join(json.dumps(entry) for entry in entries)
        (folder / 'scalars.json').write_text(lines + '\n{"loss": 1.')
    return tmp_path


def test_later_run_counts(work_dir: Path) -> None:
    loss, figures = read_curves(work_dir)
    assert loss == [(50, 2.0), (100, 1.0)]
    assert figures == dict(
        mIoU=[(100, 10.0), (200, 30.0)], aAcc=[(100, 50.0), (200, 70.0)]
    )


def test_picture(work_dir: Path) -> None:
    out = work_dir / 'new' / 'curve.png'
    draw_curves(work_dir, 'mIoU', out)
    assert mmcv.imread(str(out)).std() > 5  # not blank


def test_what_is_not_there(work_dir: Path) -> None:
    with pytest.raises(UserError, match='no metric .bbox_mAP.*aAcc, mIoU'):
        draw_curves(work_dir, 'bbox_mAP', work_dir / 'curve.png')
    with pytest.raises(UserError, match='holds no log'):
        read_curves(work_dir / 'nowhere')
