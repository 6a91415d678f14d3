"""The predictor's own image operations."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from lvt_dense.runtime import masks
from lvt_dense.runtime.images import (
    Scale,
    fit_camera,
    prepare,
    resize_bilinear,
    to_array,
)


@pytest.mark.parametrize('size', [(7, 5), (40, 23), (24, 32), (64, 9)])
def test_resizing_is_opencv_s(size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    expected = cv2.resize(image, size[::-1], interpolation=cv2.INTER_LINEAR)
    found = resize_bilinear(image, size)
    assert np.abs(found.astype(int) - expected).max() <= 1


def test_fit_keeps_the_ratio_and_pads() -> None:
    info = dict(
        resize='fit', scale=[80, 40], size=None, divisor=32, color='bgr'
    )
    image = np.full((100, 50, 3), (10, 20, 30), np.uint8)
    padded, scale = prepare(image, info)
    assert scale.size == (80, 40) and padded.shape == (96, 64, 3)
    assert padded[79, 39].tolist() == [30, 20, 10]
    assert not padded[80:].any() and not padded[:, 40:].any()


def test_a_full_mask_fills_its_box() -> None:
    mask = masks.paste_mask(
        np.ones((28, 28)), np.array([2.0, 3.0, 9.0, 8.0]), (12, 10)
    )
    expected = np.zeros((12, 10), bool)
    expected[3:8, 2:9] = True
    np.testing.assert_array_equal(mask, expected)


def test_masks_are_mmdet_s() -> None:
    torch = pytest.importorskip('torch')
    from mmdet.models.roi_heads.mask_heads.fcn_mask_head import (
        _do_paste_mask,
    )

    values = np.random.default_rng(1).random((28, 28)).astype(np.float32)
    values = cv2.blur(values, (5, 5))
    box = np.array([3.3, -2.0, 41.7, 30.2], np.float32)
    pasted, _ = _do_paste_mask(
        torch.from_numpy(values)[None, None],
        torch.from_numpy(box)[None],
        40,
        50,
        skip_empty=False,
    )
    found = masks.paste_mask(values, box, (40, 50))
    assert (found != (pasted[0].numpy() >= 0.5)).mean() < 1e-3


@pytest.mark.parametrize('seed', range(4))
def test_run_lengths_are_coco_s(seed: int) -> None:
    part = np.random.default_rng(seed).random((9, 7)) < [0.5, 0.9, 1, 0][seed]
    mask = masks.Mask(part, (3, 11), (20, 300))
    code = coco_mask.encode(np.asfortranarray(mask.full().astype(np.uint8)))
    expected = dict(size=code['size'], counts=code['counts'].decode())
    assert mask.to_rle() == expected
    again = masks.cut_mask(mask.full())
    np.testing.assert_array_equal(again.full(), mask.full())


def test_exif_turns_the_image(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new('RGB', (20, 10)).save(tmp_path / 'a.jpg', exif=exif)
    assert to_array(tmp_path / 'a.jpg').shape == (20, 10, 3)


def test_camera_follows_the_resizing() -> None:
    camera = np.array([[700.0, 0, 600, 40], [0, 700, 180, 2], [0, 0, 1, 0]])
    scale = Scale((370, 1224), (185, 612))
    point = np.array([2.0, 1.0, 20.0, 1.0])
    u, v, w = camera @ point
    u2, v2, w2, _ = fit_camera(camera, scale) @ point
    assert u2 / w2 == pytest.approx((u / w + 0.5) / 2 - 0.5, abs=1e-3)
    assert v2 / w2 == pytest.approx((v / w + 0.5) / 2 - 0.5, abs=1e-3)
