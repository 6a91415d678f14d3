"""Transforms keep image, boxes and camera together."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmdet.registry import TRANSFORMS as MMDET_TRANSFORMS

from lvt_dense.datasets.transforms import (
    FilterObjects3D,
    LoadAnnotations3D,
    Pack3DInputs,
    RandomCrop3D,
    RandomFlip3D,
    RandomShift3D,
    Resize3D,
)
from lvt_dense.scenes.camera import Camera
from lvt_dense.scenes.frame import render_scene
from lvt_dense.scenes.layout import NEAR_PROFILE, sample_scene
from lvt_dense.utils.errors import UserError

HEIGHT, WIDTH = 90, 250
CAMERA = np.array(
    [
        [180.0, 0, 121.5, 45.0],
        [0, 181.0, 44.0, -0.9],
        [0, 0, 1, 0.03],
        [0, 0, 0, 1],
    ]
)


def corners_of(box: np.ndarray) -> np.ndarray:
    """The 8 corners, left before right on each edge."""
    x, y, z, length, h, w, yaw = map(float, box)
    front = np.array([math.cos(yaw), 0, -math.sin(yaw)]) * length / 2
    left = np.array([math.sin(yaw), 0, math.cos(yaw)]) * w / 2
    return np.array(
        [
            np.array([x, y - up, z]) + a * front + b * left
            for up in (0, h)
            for a in (1, -1)
            for b in (1, -1)
        ]
    )


def project(boxes: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Pixels (N, 8, 2) of the corners."""
    points = np.array([corners_of(box) for box in boxes]).reshape(-1, 8, 3)
    ones = np.ones((*points.shape[:2], 1))
    out = np.concatenate((points, ones), -1) @ camera[:3].T
    return out[..., :2] / out[..., 2:]


@pytest.fixture
def results() -> dict[str, Any]:
    rng = np.random.default_rng(3)
    num = 6
    low = [-4, 1, 12, 2, 1.2, 0.6, -math.pi]
    high = [4, 2, 30, 4, 1.8, 1.8, math.pi]
    boxes = rng.uniform(low, high, (num, 7)).astype(np.float32)
    pixels = project(boxes, CAMERA)
    boxes_2d = np.concatenate((pixels.min(1), pixels.max(1)), 1)
    return dict(
        img=rng.integers(1, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8),
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        cam2img=CAMERA.copy(),
        ori_cam2img=CAMERA.copy(),
        gt_bboxes=boxes_2d.astype(np.float32),
        gt_bboxes_labels=np.arange(num) % 3,
        gt_bboxes_3d=boxes,
        gt_alphas=rng.uniform(-3, 3, num).astype(np.float32),
        gt_truncated=np.zeros(num, np.float32),
        gt_occluded=np.zeros(num, np.int64),
        sample_idx='000007',
    )


def flip(results: dict[str, Any]) -> dict[str, Any]:
    return RandomFlip3D(prob=1.0)(results)


def shift(results: dict[str, Any]) -> dict[str, Any]:
    transform = RandomShift3D(prob=1.0)
    transform._shift = lambda: (9, -6)
    return transform(results)


def crop(results: dict[str, Any]) -> dict[str, Any]:
    transform = RandomCrop3D((200, 70))
    transform._place = lambda spare: (31, 8)
    return transform(results)


def resize(results: dict[str, Any]) -> dict[str, Any]:
    return Resize3D((500, 120), keep_ratio=True)(results)


def stretch(results: dict[str, Any]) -> dict[str, Any]:
    return Resize3D((320, 96), keep_ratio=False)(results)


def resize_pixels(pixels: np.ndarray, *scale: float) -> np.ndarray:
    """The left edge of an image is at -0.5 before and after."""
    return (pixels + 0.5) * scale - 0.5


# Each with what it does to a pixel (u, v).
CASES = {
    flip: lambda p: (WIDTH - 1, 0) + p * (-1, 1),
    shift: lambda p: p + (9, -6),
    crop: lambda p: p - (31, 8),
    resize: lambda p: resize_pixels(p, 333 / WIDTH, 120 / HEIGHT),
    stretch: lambda p: resize_pixels(p, 320 / WIDTH, 96 / HEIGHT),
}


@pytest.mark.parametrize('transform', CASES)
def test_projections_move_with_the_pixels(
    results: dict[str, Any], transform: Callable[[dict], dict]
) -> None:
    before = project(results['gt_bboxes_3d'], results['cam2img'])
    all_boxes = results['gt_bboxes_3d']
    out = transform(results)
    after = project(out['gt_bboxes_3d'], out['cam2img'])
    # Objects that left the image are dropped: find the others again.
    kept = [
        np.flatnonzero(np.isclose(all_boxes[:, 2], box[2]))[0]
        for box in out['gt_bboxes_3d']
    ]
    assert len(kept) >= 4
    expected = CASES[transform](before[kept])
    if transform is flip:
        expected = expected[:, [1, 0, 3, 2, 5, 4, 7, 6]]
    assert np.abs(after - expected).max() < 1e-3


def test_a_chain_of_all_moves_together(results: dict[str, Any]) -> None:
    before = project(results['gt_bboxes_3d'], results['cam2img'])
    names = results['gt_bboxes_3d'][:, 2]
    for transform in (shift, flip, resize):
        results = transform(results)
    expected = CASES[resize](CASES[flip](CASES[shift](before)))
    kept = np.isin(names, results['gt_bboxes_3d'][:, 2])
    after = project(results['gt_bboxes_3d'], results['cam2img'])
    swapped = expected[kept][:, [1, 0, 3, 2, 5, 4, 7, 6]]
    assert np.abs(after - swapped).max() < 1e-3


@pytest.mark.parametrize('transform', CASES)
def test_a_mark_in_the_image_goes_where_the_camera_says(
    results: dict[str, Any], transform: Callable[[dict], dict]
) -> None:
    point = np.array([1.0, 0.5, 15.0, 1.0])
    u, v, depth = (results['cam2img'] @ point)[:3]
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    cv2.circle(image, (round(u / depth), round(v / depth)), 2, (255,) * 3, -1)
    results['img'] = image
    out = transform(results)
    u, v, depth = (out['cam2img'] @ point * np.array([1, 1, 1, 1]))[:3]
    if transform is flip:
        mirrored = point * np.array([-1, 1, 1, 1])
        u, v, depth = (out['cam2img'] @ mirrored)[:3]
    ys, xs = np.nonzero(out['img'][..., 0] > 100)
    assert abs(xs.mean() - u / depth) < 1.5
    assert abs(ys.mean() - v / depth) < 1.5


def _offset(image: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How far right and down the content of the first image lies."""
    planes = [
        cv2.GaussianBlur(i, (9, 9), 2).mean(2, dtype=np.float64)
        for i in (image, other)
    ]
    window = cv2.createHanningWindow(planes[0].shape[::-1], cv2.CV_64F)
    return np.array(cv2.phaseCorrelate(*planes[::-1], window)[0])


@pytest.mark.parametrize('flipped', [False, True])
@pytest.mark.parametrize('size', [(620, 186), (1240, 372)])
def test_a_resized_picture_is_what_its_camera_sees(
    size: tuple[int, int], flipped: bool
) -> None:
    """Render, resize and compare with a rendering at the new size.

    The rule without the half pixels would be off by 0.25 and 0.375 pixels.
    """
    source = Camera.for_size(*size)
    none = np.zeros((0, 7), np.float32)
    scene = sample_scene(np.random.default_rng(5), source, NEAR_PROFILE)
    results = dict(
        img=render_scene(scene).image,
        cam2img=np.vstack([source.P2, [0, 0, 0, 1]]),
        gt_bboxes=none[:, :4],
        gt_bboxes_3d=none,
        gt_alphas=none[:, 0],
    )
    if flipped:
        results = RandomFlip3D(prob=1.0)(results)
    results = Resize3D((310, 93))(results)
    if flipped:
        # Back again, to compare with the scene as it is.
        results = RandomFlip3D(prob=1.0)(results)
    target = replace(source, P2=results['cam2img'][:3], width=310, height=93)
    expected = render_scene(replace(scene, camera=target)).image
    assert np.abs(_offset(results['img'], expected)).max() < 0.15


def test_flip_by_hand(results: dict[str, Any]) -> None:
    results['gt_bboxes'][0] = (10, 20, 30, 40)
    results['gt_bboxes_3d'][0, 6] = 0.5
    results['gt_bboxes_3d'][1, 6] = -0.5
    results['gt_alphas'][0] = -3.0
    x = results['gt_bboxes_3d'][:, 0].copy()
    out = flip(results)
    assert out['gt_bboxes'][0].tolist() == [219, 20, 239, 40]
    assert np.allclose(out['gt_bboxes_3d'][:, 0], -x)
    assert out['gt_bboxes_3d'][0, 6] == pytest.approx(math.pi - 0.5)
    assert out['gt_bboxes_3d'][1, 6] == pytest.approx(0.5 - math.pi)
    assert out['gt_alphas'][0] == pytest.approx(3 - math.pi, abs=1e-6)
    assert out['cam2img'][0, 2] == pytest.approx(249 - 121.5)
    assert out['flip'] is True


def test_flipping_twice_gives_everything_back(results: dict[str, Any]) -> None:
    before = {key: np.copy(value) for key, value in results.items()}
    out = flip(flip(results))
    for key in ('img', 'cam2img', 'gt_bboxes', 'gt_bboxes_3d', 'gt_alphas'):
        assert np.allclose(out[key], before[key], atol=1e-4), key


def test_inputs_are_not_changed_in_place(results: dict[str, Any]) -> None:
    # Several views of one loaded sample must not disturb each other.
    for transform in CASES:
        camera, boxes = results['cam2img'], results['gt_bboxes_3d']
        copies = camera.copy(), boxes.copy()
        transform(dict(results))
        assert np.array_equal(camera, copies[0])
        assert np.array_equal(boxes, copies[1])


def test_shift_clips_boxes_and_counts_truncation(
    results: dict[str, Any],
) -> None:
    results['gt_bboxes'][:3] = [
        [200, 10, 240, 50],  # a quarter leaves on the right
        [241, 10, 249, 50],  # leaves as a whole
        [100, 40, 120, 60],  # stays
    ]
    results['gt_truncated'][0] = 0.5
    results['gt_bboxes'][3:] = [100, 40, 120, 60]
    transform = RandomShift3D(prob=1.0)
    transform._shift = lambda: (19, 0)
    out = transform(results)
    assert len(out['gt_bboxes']) == 5
    assert out['gt_bboxes'][0].tolist() == [219, 10, 249, 50]
    # 30 of 40 columns of the half that was visible.
    assert out['gt_truncated'][0] == pytest.approx(1 - 0.5 * 0.75)
    assert out['gt_truncated'][1] == 0
    assert len(out['gt_bboxes_3d']) == len(out['gt_occluded']) == 5
    assert (out['img'][:, :19] == 0).all() and (out['img'][:, 19:] > 0).all()


def test_shift_stays_within_its_range(results: dict[str, Any]) -> None:
    np.random.seed(0)
    transform = RandomShift3D(prob=0.5, max_shift=4)
    moves = []
    for _ in range(200):
        out = transform(dict(results))
        moves.append((out['cam2img'] - CAMERA)[:2, 2])
    moves = np.array(moves)
    assert 60 < (moves == 0).all(1).sum() < 140
    assert moves.min() == pytest.approx(-4) and moves.max() == 4


def test_crop_has_its_size_and_no_more_than_the_image(
    results: dict[str, Any],
) -> None:
    out = RandomCrop3D((200, 70))(dict(results))
    assert out['img'].shape == (70, 200, 3) == (*out['img_shape'], 3)
    out = RandomCrop3D((400, 70))(dict(results))
    assert out['img'].shape == (70, WIDTH, 3)
    assert out['cam2img'][0, 2] == CAMERA[0, 2]


def test_resize_keeps_meters(results: dict[str, Any]) -> None:
    boxes = results['gt_bboxes_3d'].copy()
    boxes_2d = results['gt_bboxes'].copy()
    out = resize(results)
    assert out['img'].shape == (120, 333, 3)
    assert out['scale_factor'] == pytest.approx((333 / 250, 120 / 90))
    assert np.array_equal(out['gt_bboxes_3d'], boxes)
    right = (boxes_2d[:, 2] + 0.5) * 333 / 250 - 0.5
    assert np.allclose(out['gt_bboxes'][:, 2], right, atol=1e-4)
    assert out['cam2img'][2].tolist() == CAMERA[2].tolist()
    assert out['ori_cam2img'].tolist() == CAMERA.tolist()


def test_padding_of_mmdet_leaves_boxes_and_camera(
    results: dict[str, Any],
) -> None:
    before = results['gt_bboxes'].copy()
    pad = MMDET_TRANSFORMS.build(dict(type='Pad', size_divisor=32))
    out = pad(results)
    assert out['img'].shape == (96, 256, 3)
    assert np.array_equal(out['cam2img'], CAMERA)
    assert np.array_equal(out['gt_bboxes'], before)


def test_all_objects_may_be_absent(results: dict[str, Any]) -> None:
    for key in list(results):
        if key.startswith('gt_'):
            results[key] = results[key][:0]
    for transform in CASES:
        results = transform(results)
    sample = Pack3DInputs()(results)['data_samples']
    assert sample.gt_instances_3d.bboxes_3d.shape == (0, 7)
    assert sample.gt_instances.bboxes.shape == (0, 4)


def make_frame() -> dict[str, Any]:
    instance = dict(
        bbox=[10.0, 20.0, 30.0, 40.0],
        bbox_label=2,
        bbox_3d=[1.0, 1.5, 20.0, 4.0, 1.5, 1.6, 0.1],
        alpha=0.05,
        truncated=0.25,
        occluded=1,
        ignore_flag=0,
    )
    return dict(
        img=np.full((HEIGHT, WIDTH, 3), 7, np.uint8),
        img_path='training/image_2/000007.png',
        img_shape=(HEIGHT, WIDTH),
        ori_shape=(HEIGHT, WIDTH),
        height=HEIGHT,
        width=WIDTH,
        cam2img=CAMERA,
        sample_idx='000007',
        instances=[instance],
    )


def test_load_and_pack() -> None:
    packed = Pack3DInputs()(LoadAnnotations3D()(make_frame()))
    assert packed['inputs'].shape == (3, HEIGHT, WIDTH)
    sample = packed['data_samples']
    truth = sample.gt_instances_3d
    assert truth.bboxes_3d.tolist()[0] == pytest.approx(
        [1.0, 1.5, 20.0, 4.0, 1.5, 1.6, 0.1]
    )
    assert truth.labels_3d.tolist() == [2]
    assert truth.bboxes.tolist() == [[10, 20, 30, 40]]
    assert truth.alphas.tolist() == pytest.approx([0.05])
    assert truth.truncated.tolist() == [0.25]
    assert truth.occluded.tolist() == [1]
    assert sample.gt_instances.labels.tolist() == [2]
    assert sample.metainfo['sample_idx'] == '000007'
    assert sample.metainfo['flip'] is False
    assert sample.metainfo['scale_factor'] == (1.0, 1.0)
    assert np.array_equal(sample.metainfo['ori_cam2img'], CAMERA)


def test_image_of_another_size_than_its_annotations() -> None:
    frame = make_frame()
    frame['img'] = frame['img'][:, :100]
    message = '000007.png has 100 x 90 pixels, but .* 250 x 90'
    with pytest.raises(UserError, match=message):
        LoadAnnotations3D()(frame)


@pytest.mark.parametrize(
    'key, value, kept',
    [
        ('gt_truncated', 0.5, True),
        ('gt_truncated', 0.51, False),
        ('gt_occluded', 2, True),
        ('gt_occluded', 3, False),
        ('gt_bboxes', (100, 50, 150, 75), True),
        ('gt_bboxes', (100, 50, 150, 74), False),
        ('gt_bboxes_3d', (0, 1, 65, 4, 1, 1, 0), True),
        ('gt_bboxes_3d', (0, 1, 65.1, 4, 1, 1, 0), False),
        ('gt_bboxes_3d', (0, 1, 1.9, 4, 1, 1, 0), False),
    ],
)
def test_objects_that_are_too_hard_are_dropped(
    results: dict[str, Any], key: str, value: Any, kept: Any
) -> None:
    results['gt_bboxes'][:] = (10, 20, 60, 80)
    results[key][1] = value
    labels = results['gt_bboxes_labels'].tolist()
    out = FilterObjects3D()(results)
    expected = labels if kept else labels[:1] + labels[2:]
    assert out['gt_bboxes_labels'].tolist() == expected
    assert len(out['gt_bboxes_3d']) == len(expected)


def _lone_image(**keys: Any) -> dict[str, Any]:
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    shape = (HEIGHT, WIDTH)
    return dict(img=image, img_shape=shape, ori_shape=shape, **keys)


def test_a_lone_image_gets_its_camera_alone(tmp_path: Path) -> None:
    given = LoadAnnotations3D(cam2img=CAMERA[:3].tolist())
    out = given(_lone_image(img_id=0, img_path=None))
    assert np.allclose(out['cam2img'], CAMERA)
    sample = Pack3DInputs()(Resize3D((500, 120))(out))['data_samples']
    assert 'gt_instances_3d' not in sample and sample.sample_idx == '0'
    assert np.allclose(sample.ori_cam2img, CAMERA)
    with pytest.raises(UserError, match='an array brings none'):
        LoadAnnotations3D()(_lone_image(img_id=0))
    path = tmp_path / 'image_2' / '000003.png'
    with pytest.raises(UserError, match='000003.png: .* needs the camera'):
        LoadAnnotations3D()(_lone_image(img_path=str(path)))
    assert given(_lone_image(img_path=str(path)))['sample_idx'] == '000003'
    calib = tmp_path / 'calib' / '000003.txt'
    calib.parent.mkdir()
    calib.write_text('P2: 9 0 1 0 0 9 1 0 0 0 1 0')
    out = given(_lone_image(img_path=str(path)))
    assert out['cam2img'][0, 0] == 9
    out = LoadAnnotations3D()(
        _lone_image(img_path=str(path), cam2img=CAMERA, sample_idx='7')
    )
    assert np.allclose(out['cam2img'], CAMERA) and out['sample_idx'] == '7'


def test_names_resolve_in_mmdet() -> None:
    config = dict(type='lvt_dense.RandomFlip3D', prob=0.0)
    assert MMDET_TRANSFORMS.build(config).prob == 0.0
