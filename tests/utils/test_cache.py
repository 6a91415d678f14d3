"""The cache of what is derived from data, whole and damaged."""

from pathlib import Path

import pytest
from PIL import Image

from lvt_dense.datasets.image_files import read_headers
from lvt_dense.utils.cache import read_records, store, write_records


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
