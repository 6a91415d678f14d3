"""Crops and colors of SSDLite, by their properties."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from lvt_dense.datasets.transforms import SSDBestBoxCrop, SSDColorJitter


@pytest.fixture(autouse=True)
def seed() -> None:
    """The transforms draw from NumPy's global generator."""
    np.random.seed(0)


def sample(boxes: list, size: tuple = (60, 80)) -> dict:
    """An image whose pixels tell where they come from."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    image = np.stack([rows, columns, rows * 0], -1).astype(np.uint8)
    number = len(boxes)
    return dict(
        img=image,
        img_shape=size,
        gt_bboxes=HorizontalBoxes(
            torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
        ),
        gt_bboxes_labels=np.arange(number),
        gt_ignore_flags=np.zeros(number, bool),
    )


BOXES = [[5, 5, 25, 30], [40, 10, 75, 55], [10, 40, 20, 50]]


def crop_of(results: dict) -> np.ndarray:
    """The crop, xyxy, as its first and last pixel tell."""
    image = results['img']
    top, left = image[0, 0, :2]
    return np.array(
        [left, top, left + image.shape[1], top + image.shape[0]], float
    )


def iou(box: np.ndarray, crop: np.ndarray) -> float:
    sides = np.minimum(box[2:], crop[2:]) - np.maximum(box[:2], crop[:2])
    inside = sides.clip(min=0).prod()
    areas = (box[2:] - box[:2]).prod() + (crop[2:] - crop[:2]).prod()
    return inside / (areas - inside)


@pytest.mark.parametrize('min_iou', [0.1, 0.3, 0.5])
def test_the_best_box_reaches_the_overlap(min_iou: float) -> None:
    crop = SSDBestBoxCrop(min_ious=(0.0, min_iou))
    others = 0
    for _ in range(60):
        results = crop.transform(sample(BOXES))
        if results['img'].shape == (60, 80, 3):
            continue
        where = crop_of(results)
        overlaps = [iou(np.array(b, float), where) for b in BOXES]
        assert max(overlaps) >= min_iou
        others += min(overlaps) < min_iou
        height, width = results['img'].shape[:2]
        assert 0.5 - 0.1 <= height / width <= 2 + 0.1  # before rounding
        assert height >= 0.3 * 60 - 1
        assert width >= 0.3 * 80 - 1
    assert others > 10  # which a rule for all boxes would not let through


def test_boxes_are_kept_by_their_centers_and_clipped() -> None:
    crop = SSDBestBoxCrop(min_ious=(0.0, 0.3))
    seen = set()
    for _ in range(60):
        results = crop.transform(sample(BOXES))
        where = crop_of(results)
        offset = np.tile(where[:2], 2)
        kept = {}
        for label, box in enumerate(np.array(BOXES, float)):
            center = (box[:2] + box[2:]) / 2
            if ((center > where[:2]) & (center < where[2:])).all():
                kept[label] = np.clip(
                    box - offset, 0, np.tile(where[2:] - where[:2], 2)
                )
        assert list(kept) == results['gt_bboxes_labels'].tolist()
        assert len(kept)
        found = results['gt_bboxes'].numpy()
        assert np.allclose(found, list(kept.values()))
        assert results['img_shape'] == results['img'].shape[:2]
        seen.add(len(kept))
    assert len(seen) > 1


def test_one_overlap_in_seven_is_the_whole_image() -> None:
    """A box of the whole image reaches every overlap but 1.0."""
    crop = SSDBestBoxCrop(min_ious=(0.0, *[0.1] * 6))
    full = [[0, 0, 80, 60]]
    whole = [
        crop.transform(sample(full))['img'].shape == (60, 80, 3)
        for _ in range(400)
    ]
    assert np.mean(whole) == pytest.approx(1 / 7, abs=0.05)


def test_image_without_counted_boxes_stays() -> None:
    crop = SSDBestBoxCrop()
    for boxes in ([], BOXES):
        results = sample(boxes)
        results['gt_ignore_flags'][:] = True
        assert crop.transform(results)['img'].shape == (60, 80, 3)


def test_ignored_boxes_do_not_choose_the_crop() -> None:
    crop = SSDBestBoxCrop(min_ious=(0.0, 0.5))
    for _ in range(30):
        results = sample(BOXES)
        results['gt_ignore_flags'][1] = True  # the largest
        results = crop.transform(results)
        if results['img'].shape != (60, 80, 3):
            where = crop_of(results)
            assert max(
                iou(np.array(BOXES[k], float), where) for k in (0, 2)
            ) >= (0.5)


def test_masks_follow() -> None:
    crop = SSDBestBoxCrop(min_ious=(0.0, 0.3))
    for _ in range(10):
        results = sample(BOXES)
        masks = np.zeros((3, 60, 80), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, BOXES):
            mask[y1:y2, x1:x2] = 1
        results['gt_masks'] = BitmapMasks(masks, 60, 80)
        results = crop.transform(results)
        boxes = results['gt_bboxes'].numpy()
        areas = results['gt_masks'].masks.sum((1, 2))
        assert np.allclose(areas, (boxes[:, 2:] - boxes[:, :2]).prod(1))
        assert results['gt_masks'].masks.shape[1:] == results['img_shape']


def test_overlaps_need_a_way_out() -> None:
    with pytest.raises(ValueError, match='needs a 0'):
        SSDBestBoxCrop(min_ious=(0.5, 1.0))


def test_shares_on_coco(real_data: Path) -> None:
    """35 % of the images stay whole; the median object has 40.3 pixels."""
    path = real_data / 'coco/annotations/instances_train2017.json'
    content = json.loads(path.read_text())
    boxes = {}
    for item in content['annotations']:
        x, y, w, h = item['bbox']
        if w > 0 and h > 0 and not item['iscrowd']:
            boxes.setdefault(item['image_id'], []).append([x, y, x + w, y + h])
    crop = SSDBestBoxCrop()
    whole = []
    sizes = []
    for image in content['images']:
        size = image['height'], image['width']
        # No pixel is looked at, so the image takes no memory.
        pixels = np.broadcast_to(np.uint8(0), (*size, 3))
        for _ in range(4 if image['id'] in boxes else 0):
            objects = np.array(boxes[image['id']], np.float32)
            results = crop.transform(
                dict(
                    img=pixels,
                    img_shape=size,
                    gt_bboxes=HorizontalBoxes(objects),
                )
            )
            whole.append(results['img_shape'] == size)
            edges = results['gt_bboxes'].tensor.numpy()
            scale = 320 / np.array(results['img_shape'][::-1])
            sizes.extend(
                ((edges[:, 2:] - edges[:, :2]) * scale).prod(1) ** 0.5
            )
    assert np.mean(whole) == pytest.approx(0.35, abs=0.03)
    assert np.median(sizes) == pytest.approx(40.3, abs=1)


# ---------------------------------------------------------------- colors
def jittered(image: np.ndarray, **only: object) -> np.ndarray:
    """An image after one kind of change, which is certain."""
    off = dict(
        brightness=0.0, contrast=(1.0, 1.0), saturation=(1.0, 1.0), hue=0.0
    )
    jitter = SSDColorJitter(**(off | only), prob=1.0)
    return jitter.transform(dict(img=image))['img']


def same_channels(image: np.ndarray) -> np.ndarray:
    """Channels in ascending order of their mean, which may be permuted."""
    order = image.reshape(-1, 3).mean(0).argsort()
    return image[..., order]


def test_brightness_and_contrast_clip() -> None:
    image = np.full((4, 4, 3), 200, np.uint8)
    values = [int(jittered(image, contrast=(0.5, 1.5))[0, 0, 0])]
    for _ in range(200):
        out = jittered(image, contrast=(0.5, 1.5))
        assert len(np.unique(out)) == 1
        values.append(int(out[0, 0, 0]))
    assert max(values) == 255
    assert 95 <= min(values) <= 120
    shifts = [
        int(jittered(image // 2, brightness=0.2)[0, 0, 0]) - 100
        for _ in range(200)
    ]
    assert -52 <= min(shifts) < -45
    assert 45 < max(shifts) <= 51


def test_hue_moves_by_degrees() -> None:
    """Up to 24 degrees of a float image's hue, as much as here."""
    color = np.array([[[200, 60, 90]]], np.uint8)  # hue about 253 degrees
    degrees = cv2.cvtColor((color / 255).astype(np.float32), cv2.COLOR_BGR2HSV)
    start = float(degrees[0, 0, 0])
    moved = []
    jitter = SSDColorJitter(prob=1.0)
    for _ in range(300):
        out = jitter._distort_hsv(color, saturation=False, hue=True)
        hsv = cv2.cvtColor((out / 255).astype(np.float32), cv2.COLOR_BGR2HSV)
        moved.append(float(hsv[0, 0, 0]) - start)
    assert max(moved) == pytest.approx(24, abs=2)
    assert min(moved) == pytest.approx(-24, abs=2)


def test_contrast_changes_in_three_of_four() -> None:
    image = np.full((2, 2, 3), 100, np.uint8)
    jitter = SSDColorJitter(
        brightness=0.0, saturation=(1.0, 1.0), hue=0.0, contrast=(0.5, 0.9)
    )
    changed = [
        bool((jitter.transform(dict(img=image))['img'] != 100).any())
        for _ in range(600)
    ]
    assert np.mean(changed) == pytest.approx(0.75, abs=0.06)


def test_channels_are_permuted_in_half() -> None:
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 1], image[..., 2] = 100, 200
    jitter = SSDColorJitter(
        brightness=0.0, saturation=(1.0, 1.0), hue=0.0, contrast=(1.0, 1.0)
    )
    orders = [
        tuple(jitter.transform(dict(img=image))['img'][0, 0].argsort())
        for _ in range(600)
    ]
    assert len(set(orders)) == 6
    kept = np.mean([order == (0, 1, 2) for order in orders])
    assert kept == pytest.approx(0.5 + 0.5 / 6, abs=0.06)


def test_nothing_changes_with_probability_zero() -> None:
    image = np.random.randint(0, 256, (8, 8, 3)).astype(np.uint8)
    out = SSDColorJitter(prob=0.0).transform(dict(img=image))['img']
    assert (out == image).all()
    assert out.dtype == np.uint8
