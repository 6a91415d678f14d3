"""Which files of a folder are images."""

from pathlib import Path

import pytest
from PIL import Image

from lvt_dense.runtime import sources
from lvt_dense.utils.files import IMAGE_SUFFIXES


def test_images_are_those_that_can_be_trained_on() -> None:
    assert set(IMAGE_SUFFIXES) == sources.SUFFIXES


@pytest.mark.parametrize('suffix', ['gif', 'ppm', 'TIFF'])
def test_images_of_a_folder(suffix: str, tmp_path: Path) -> None:
    Image.new('L', (8, 8)).save(tmp_path / f'a.{suffix}')
    (tmp_path / 'notes.txt').write_text('a')
    assert sources.list_images(tmp_path) == [tmp_path / f'a.{suffix}']
