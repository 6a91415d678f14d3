"""Names of pictures, and what they may replace."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from lvt_dense.utils.errors import UserError
from lvt_dense.visualization.pictures import (
    check_targets,
    is_own_picture,
    mark_png,
    name_pictures,
)


def write(path: Path, own: bool = False) -> Path:
    """Write a picture, of ours or of someone else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    gray = np.arange(64, dtype=np.uint8).reshape(8, 8)
    content = cv2.imencode('.png', gray)[1].tobytes()
    path.write_bytes(mark_png(content) if own else content)
    return path


@pytest.mark.parametrize(
    ('images', 'names'),
    [
        (['/d/a.jpg'], ['a.jpg']),
        (['/d/a.jpg', '/d/b.jpg'], ['a.jpg', 'b.jpg']),
        (['/d/x/a.jpg', '/d/y/a.jpg'], ['x/a.jpg', 'y/a.jpg']),
        (['/d/a.jpg', '/d/a.png'], ['a.jpg', 'a.png']),
        (['/d/a.jpg', '/d/A.jpg'], ['a.jpg', 'A.jpg_2']),
        # a segmenter writes street.jpg_mask.png beside street.jpg.png
        (
            ['/d/street.jpg', '/d/street.jpg_mask'],
            ['street.jpg', 'street.jpg_mask_2'],
        ),
        ([], []),
    ],
)
def test_every_image_has_a_name_of_its_own(
    images: list[str], names: list[str]
) -> None:
    assert name_pictures(images) == names


def test_names_are_relative_to_a_given_folder() -> None:
    assert name_pictures(['/d/x/a.jpg'], '/d') == ['x/a.jpg']
    assert name_pictures(['/e/a.jpg'], '/d') == ['e/a.jpg']  # never ../e/a


def test_mark_keeps_the_pixels(tmp_path: Path) -> None:
    plain, own = write(tmp_path / 'a.png'), write(tmp_path / 'b.png', own=True)
    assert not is_own_picture(plain)
    assert is_own_picture(own)
    np.testing.assert_array_equal(
        cv2.imread(str(own), cv2.IMREAD_UNCHANGED),
        cv2.imread(str(plain), cv2.IMREAD_UNCHANGED),
    )
    assert mark_png(own.read_bytes()) == own.read_bytes()
    assert mark_png(b'no picture') == b'no picture'
    assert not is_own_picture(tmp_path / 'none.png')


def test_pictures_replace_own_pictures_alone(tmp_path: Path) -> None:
    own = write(tmp_path / 'own.png', own=True)
    check_targets(tmp_path, ['own', 'new'], '--out')
    check_targets(tmp_path / 'none', ['a'], '--out')
    with pytest.raises(UserError, match='own.png is there already'):
        check_targets(tmp_path, ['own'], '--out', inputs=[own])
    write(tmp_path / 'theirs_mask.png')
    with pytest.raises(UserError, match='--out .*theirs_mask.png'):
        check_targets(tmp_path, ['theirs'], '--out')
    with pytest.raises(UserError, match='is a file'):
        check_targets(own, ['a'], '--show-dir')
