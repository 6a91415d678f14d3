"""Own configs whose images have an EXIF rotation, and their masks."""

from pathlib import Path

import numpy as np
import pytest
from helpers.commands import run_command
from PIL import Image

TURNS = {3: 2, 6: -1, 8: 1}
SEGMENTER = 'lvt_dense::deeplabv3_mobilevit_xxs_360_camvid.py'


def write(
    root: Path, orientation: int, is_stored: bool, is_plain: bool = False
) -> Path:
    """Images as of a camera that was held otherwise, labels in CamVid's."""
    rng = np.random.default_rng(0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    for split in ('train', 'val'):
        for kind in ('images', 'labels'):
            (root / kind / split).mkdir(parents=True)
        for name in 'ab':
            labels = np.zeros((48, 80), np.uint8)
            labels[5:20, 5:30] = labels[25:40, 50:70] = 2
            image = np.stack([labels * 90 + 20] * 3, -1)
            image += rng.integers(0, 30, image.shape, dtype=np.uint8)
            if is_plain:
                image[:] = 70
            if not is_stored:
                labels = np.rot90(labels, TURNS[orientation])
            Image.fromarray(image).save(
                root / 'images' / split / f'{name}.jpg', exif=exif
            )
            Image.fromarray(np.ascontiguousarray(labels)).save(
                root / 'labels' / split / f'{name}.png'
            )
    return root


def train(root: Path) -> int:
    """Run ``train`` up to the model, whose name is wrong."""
    args = (SEGMENTER, '--work-dir', root / 'work', '--data-root', root)
    options = ('--cfg-options', 'model.backbone.arch=none')
    return run_command('train', *args, *options)


@pytest.mark.parametrize('orientation', [3, 6, 8])
@pytest.mark.parametrize('split', ['train', 'val'])
def test_masks_of_the_stored_picture_are_refused(
    orientation: int,
    split: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = write(tmp_path / 'data', orientation, is_stored=True)
    if split == 'val':
        for path in (root / 'images' / 'train').iterdir():
            Image.open(path).save(path)  # without EXIF data
    assert train(root) == 2
    said = capsys.readouterr().err
    assert f'2 {split} images are rotated by their EXIF data' in said
    assert 'but their masks are not' in said
    assert 'or use --data DIR, which rotates the masks' in said


@pytest.mark.parametrize('orientation', [3, 6, 8])
def test_masks_that_are_turned_pass(
    orientation: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write(tmp_path / 'data', orientation, is_stored=False)
    assert train(root) == 2  # because of the model
    text = ''.join(capsys.readouterr())
    assert 'EXIF' not in text and 'none' in text


def test_half_turn_that_nothing_tells_is_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path / 'data', 3, is_stored=True, is_plain=True)
    assert train(tmp_path / 'data') == 2  # because of the model
    text = ' '.join(''.join(capsys.readouterr()).split())
    assert '2 train images are rotated by their EXIF data' in text
    assert 'unknown whether their masks match' in text
