"""Masks are loaded as mmseg loads them, and faulty ones are named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmseg.datasets.transforms import LoadAnnotations
from PIL import Image

from lvt_dense.datasets.transforms import LoadSegAnnotations
from lvt_dense.utils.errors import UserError


@pytest.fixture
def info(tmp_path: Path) -> Callable[..., dict]:
    """Write a mask and give the info of its image, 6 x 4 pixels."""

    def make(mask: np.ndarray, **keys: Any) -> dict:
        path = tmp_path / 'mask.png'
        Image.fromarray(np.asarray(mask)).save(path)
        base = dict(
            img_path='image.jpg',
            seg_map_path=str(path),
            ori_shape=(4, 6),
            reduce_zero_label=False,
            label_map=None,
            seg_fields=[],
        )
        return {**base, **keys}

    return make


def mask_of(*values: int) -> np.ndarray:
    return np.resize(np.array(values, np.uint8), (4, 6))


@pytest.mark.parametrize(
    'keys',
    [
        dict(),
        dict(reduce_zero_label=True),
        dict(label_map={0: 255, 1: 0, 2: 1, 3: 2}),
        dict(reduce_zero_label=True, label_map={0: 1, 1: 255, 2: 0}),
    ],
)
def test_mask_is_that_of_mmseg(
    info: Callable[..., dict], keys: dict[str, Any]
) -> None:
    mask = mask_of(0, 1, 2, 3, 255)
    given = info(mask, **keys)
    expected = LoadAnnotations()(dict(given, seg_fields=[]))['gt_seg_map']
    loaded = LoadSegAnnotations(num_classes=4)(given)
    np.testing.assert_array_equal(loaded['gt_seg_map'], expected)
    assert loaded['gt_seg_map'].dtype == np.uint8
    assert loaded['seg_fields'] == ['gt_seg_map']


def test_palette_files_hold_indices(
    info: Callable[..., dict], tmp_path: Path
) -> None:
    given = info(mask_of(0, 5))
    picture = Image.fromarray(mask_of(0, 5), mode='P')
    picture.putpalette(range(0, 255))
    picture.save(given['seg_map_path'])
    loaded = LoadSegAnnotations(num_classes=21)(given)
    assert set(np.unique(loaded['gt_seg_map'])) == {0, 5}


@pytest.mark.parametrize(
    ('num_classes', 'values', 'keys', 'message'),
    [
        (4, (0, 4), {}, r'label\(s\) 4: allowed are 0 to 3'),
        (4, (1, 5, 9), dict(reduce_zero_label=True), 'label.* 5, 9.* 1 to 4'),
        (2, (0, 7), dict(label_map={0: 1, 1: 0}), r'label\(s\) 7'),
    ],
)
def test_labels_out_of_range(
    info: Callable[..., dict],
    num_classes: int,
    values: Any,
    keys: dict[str, Any],
    message: str,
) -> None:
    given = info(mask_of(*values), **keys)
    with pytest.raises(UserError, match=message) as caught:
        LoadSegAnnotations(num_classes)(given)
    assert given['seg_map_path'] in str(caught.value)


def test_sixteen_bits_do_not_wrap_around(info: Callable[..., dict]) -> None:
    given = info(np.full((4, 6), 256 + 3, np.uint16))
    with pytest.raises(UserError, match='259'):
        LoadSegAnnotations(num_classes=4)(given)


def test_other_size_than_the_image(info: Callable[..., dict]) -> None:
    given = info(mask_of(0), ori_shape=(6, 4))
    with pytest.raises(UserError, match='6 x 4, .* 4 x 6') as caught:
        LoadSegAnnotations(num_classes=4)(given)
    assert given['seg_map_path'] in str(caught.value)


@pytest.mark.parametrize('content', [b'', b'no picture', None])
def test_unreadable_masks(info: Callable[..., dict], content: bytes) -> None:
    given = info(mask_of(0))
    with open(given['seg_map_path'], 'rb') as file:
        whole = file.read()
    with open(given['seg_map_path'], 'wb') as file:
        file.write(whole[:-30] if content is None else content)
    with pytest.raises(UserError, match=r'mask .*mask\.png is empty or corr'):
        LoadSegAnnotations(num_classes=4)(given)


def test_missing_and_colored_masks(info: Callable[..., dict]) -> None:
    colors = info(np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(UserError, match='has 3 channels'):
        LoadSegAnnotations(num_classes=4)(colors)
    with pytest.raises(UserError, match='nowhere.png is not there'):
        LoadSegAnnotations(4)(dict(colors, seg_map_path='nowhere.png'))
