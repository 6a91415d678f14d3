"""Mixtures of images are those of MMDetection, seed by seed."""

import copy
from typing import Any

import mmdet.datasets.transforms as mmdet_transforms
import numpy as np
import pytest
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from lvt_dense.datasets.transforms import mixtures
from lvt_dense.datasets.transforms.colors import YOLOXHSVRandomAug
from lvt_dense.datasets.transforms.flip import RandomFlip


def sample(rng: np.random.Generator, size: tuple, boxes: int) -> dict:
    height, width = size
    corners = np.sort(rng.random((boxes, 2, 2)), axis=1) * [width, height]
    corners = torch.from_numpy(corners.reshape(-1, 4)).float()
    return dict(
        img=rng.integers(0, 256, (*size, 3), dtype=np.uint8),
        img_shape=size,
        gt_bboxes=HorizontalBoxes(corners),
        gt_bboxes_labels=rng.integers(0, 80, boxes),
        gt_ignore_flags=rng.random(boxes) < 0.2,
    )


def samples() -> list[dict]:
    rng = np.random.default_rng(0)
    made = []
    for i in range(12):
        size = tuple(int(side) for side in rng.integers(30, 90, 2))
        # in one of three the size of the mixture itself
        made.append(sample(rng, size if i % 3 else (64, 80), i % 6))
    return made


def run(transform: Any, data: list[dict], rounds: int = 5) -> list[dict]:
    """Transform the samples, with a seed for each; keep the results."""
    found = []
    for seed in range(rounds * len(data)):
        np.random.seed(seed)
        found.append(transform(copy.deepcopy(data[seed % len(data)])))
    return found


def check_same(found: dict, expected: dict, gray: int = 0) -> None:
    first, second = (x['img'].astype(int) for x in (found, expected))
    assert first.shape == second.shape
    assert abs(first - second).max() <= gray
    assert found['img_shape'] == expected['img_shape']
    boxes = found['gt_bboxes'].tensor, expected['gt_bboxes'].tensor
    torch.testing.assert_close(*boxes, rtol=0, atol=0)
    for key in ('gt_bboxes_labels', 'gt_ignore_flags'):
        np.testing.assert_array_equal(found[key], expected[key])


@pytest.mark.parametrize(
    'settings',
    [
        dict(random_pop=False, max_cached_images=5),
        dict(random_pop=True, max_cached_images=6, prob=0.5),
        dict(random_pop=False, bbox_clip_border=False, pad_val=7),
    ],
)
def test_mosaic_is_that_of_mmdetection(settings: dict[str, Any]) -> None:
    settings = dict(settings, img_scale=(80, 64))
    data = samples()
    expected = run(mmdet_transforms.CachedMosaic(**settings), data)
    found = run(mixtures.CachedMosaic(**settings), data)
    shapes = set()
    for one, other in zip(found, expected):
        check_same(one, other)
        shapes.add(one['img_shape'])
    assert (128, 160) in shapes


@pytest.mark.parametrize(
    ('settings', 'gray'),
    [
        (dict(ratio_range=(1.0, 1.0), pad_val=(114, 113, 112), prob=0.5), 0),
        (dict(ratio_range=(1.0, 1.0), max_cached_images=3), 0),
        (dict(ratio_range=(0.5, 1.5), bbox_clip_border=False), 1),
    ],
)
def test_mixup_is_that_of_mmdetection(
    settings: dict[str, Any], gray: int
) -> None:
    settings = dict(settings, img_scale=(80, 64))
    data = samples()
    expected = run(mmdet_transforms.CachedMixUp(**settings), data)
    found = run(mixtures.CachedMixUp(**settings), data)
    mixed = 0
    for i, (one, other) in enumerate(zip(found, expected)):
        check_same(one, other, gray)
        mixed += not np.array_equal(one['img'], data[i % len(data)]['img'])
    assert mixed > 10


@pytest.mark.parametrize('name', ['CachedMosaic', 'CachedMixUp'])
def test_the_cache_does_not_see_later_changes(name: str) -> None:
    transform = getattr(mixtures, name)(img_scale=(80, 64), prob=0.0)
    data = samples()[0]
    given = copy.deepcopy(data)
    results = transform(given)
    results['img'][:] = 0
    results['gt_bboxes'].rescale_([0, 0])
    kept = transform.results_cache[0]
    assert kept['img'].any()
    assert kept['gt_bboxes'].tensor.any() or not len(data['gt_bboxes'])


@pytest.mark.parametrize('name', ['CachedMosaic', 'CachedMixUp'])
def test_samples_with_masks(name: str) -> None:
    data = samples()
    for one in data:
        masks = np.ones((len(one['gt_bboxes']), *one['img_shape']), np.uint8)
        one['gt_masks'] = BitmapMasks(masks, *one['img_shape'])
    settings = dict(img_scale=(80, 64), ratio_range=(1.0, 1.0))
    if name == 'CachedMosaic':
        del settings['ratio_range']
    expected = run(getattr(mmdet_transforms, name)(**settings), data, 1)
    found = run(getattr(mixtures, name)(**settings), data, 1)
    for one, other in zip(found, expected):
        check_same(one, other)
        masks = one['gt_masks'].masks, other['gt_masks'].masks
        np.testing.assert_array_equal(*masks)


def test_colors_are_those_of_mmdetection() -> None:
    data = samples()
    settings = dict(hue_delta=20, saturation_delta=90, value_delta=90)
    for kwargs in ({}, settings):
        expected = run(mmdet_transforms.YOLOXHSVRandomAug(**kwargs), data)
        found = run(YOLOXHSVRandomAug(**kwargs), data)
        for one, other in zip(found, expected):
            check_same(one, other)


@pytest.mark.parametrize('direction', ['horizontal', 'vertical', 'diagonal'])
def test_flipped_images_are_contiguous(direction: str) -> None:
    data = samples()
    settings = dict(prob=0.5, direction=direction)
    expected = run(mmdet_transforms.RandomFlip(**settings), data, 1)
    found = run(RandomFlip(**settings), data, 1)
    for one, other in zip(found, expected):
        check_same(one, other)
        assert one['img'].flags.c_contiguous
    assert len({one['flip'] for one in found}) == 2
