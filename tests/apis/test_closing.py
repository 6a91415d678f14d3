"""The page at the end of a training, of other tasks than detection."""

from pathlib import Path

import pytest
from helpers.commands import run_command, skip_beautifier

from lvt_dense.apis import closing
from lvt_dense.scenes import write_kitti, write_semantic

SEGMENTER = 'lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py'
MONO3D = 'lvt_dense::monocon_mobilevit_xxs_kitti.py'


@pytest.fixture(autouse=True)
def few_images(monkeypatch: pytest.MonkeyPatch) -> None:
    skip_beautifier(monkeypatch)
    monkeypatch.setattr(closing, 'LEAST', 2)
    monkeypatch.setattr(closing, 'MOST', 2)


def train(config: str, data: Path, work_dir: Path) -> str:
    """Train for an epoch; return the page at the end."""
    status = run_command(
        'train',
        *(config, '--data', data, '--work-dir', work_dir, '--epochs', 1),
        *('--batch-size', 2, '--workers', 0, '--balance'),
    )
    assert status == 0
    return (work_dir / 'result.txt').read_text()


def test_segmentation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / 'own'
    write_semantic(data, 'camvid', 4, seed=1, size=(96, 72), val_fraction=0.5)
    page = train(SEGMENTER, data, tmp_path / 'work')
    assert page.startswith('result: mIoU ')
    assert 'weakness: lowest IoU: ' in page
    assert 'training images)' in page
    assert '--tiles' not in page
    assert capsys.readouterr().out.endswith(page)


def test_monocular_3d(tmp_path: Path) -> None:
    data = tmp_path / 'own'
    write_kitti(data, 4, seed=1, size=(160, 64), val_fraction=0.5)
    page = train(MONO3D, data, tmp_path / 'work')
    assert page.startswith('result: ')
    assert 'next: lvt-dense report' in page
