"""The fast crop against MMDetection's, by statistics and pixel by pixel."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmdet.datasets.transforms import Expand
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks

from lvt_dense.datasets.transforms.cut import centers_in_crop
from lvt_dense.datasets.transforms.min_iou_crop import MinIoURandomCrop

DRAWS = 10_000
# `histograms` of as many samples from MMDetection's MinIoURandomCrop, seed 0.
REFERENCE = Path(__file__).parents[2] / 'data' / 'min_iou_crop.json'
SCENES = dict(
    two=[[5, 5, 45, 50], [30, 10, 75, 55]],
    many=[[5, 5, 25, 30], [40, 10, 75, 55], [10, 40, 20, 50], [50, 5, 60, 9]],
    none=[],
)


def sample(boxes: list, size: tuple = (60, 80)) -> dict[str, Any]:
    """An image whose pixels tell where they come from."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    corners = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return dict(
        img=np.stack([rows, columns, rows * 0], -1).astype(np.uint8),
        img_shape=size,
        gt_bboxes=HorizontalBoxes(corners),
        gt_bboxes_labels=np.arange(len(boxes)),
        gt_ignore_flags=np.zeros(len(boxes), bool),
    )


def histograms(draws: Iterable[dict[str, Any]]) -> dict[str, list[int]]:
    """Count where the crops begin and end, and which boxes they keep."""
    found = []
    for results in draws:
        image = results['img']
        top, left = image[0, 0, :2].astype(int)
        kept = (1 << results['gt_bboxes_labels']).sum()
        found.append([left, top, *image.shape[1::-1], kept])
    edges = dict(left=80, top=60, width=81, height=61, kept=17)
    return {
        name: np.bincount(
            column // 4 if name != 'kept' else column, minlength=size // 4
        ).tolist()
        for (name, size), column in zip(edges.items(), np.array(found).T)
    }


def draw(
    transform: MinIoURandomCrop, boxes: list, draws: int = DRAWS
) -> Iterator[dict[str, Any]]:
    """Draw crops alone, which is most of the work, and cut them."""
    image = sample(boxes)['img']
    corners = np.array(boxes, np.float32).reshape(-1, 4)
    np.random.seed(0)
    for _ in range(draws):
        crop = transform._draw((60, 80), corners)
        if crop is None:
            yield dict(img=image, gt_bboxes_labels=np.arange(len(boxes)))
            continue
        x1, y1, x2, y2 = crop
        kept = centers_in_crop(corners, crop).nonzero()[0]
        yield dict(img=image[y1:y2, x1:x2], gt_bboxes_labels=kept)


def distance(a: list[int], b: list[int]) -> float:
    """Chi-squared statistic of two histograms a degree of freedom."""
    size = max(len(a), len(b))
    first, second = (np.pad(x, (0, size - len(x))) for x in (a, b))
    total = first + second
    used = total > 20
    terms = (first - second)[used] ** 2 / total[used]
    return terms.sum() / max(used.sum() - 1, 1)


@pytest.mark.parametrize('scene', SCENES)
def test_distribution_is_that_of_mmdetection(scene: str) -> None:
    expected = json.loads(REFERENCE.read_text())[scene]
    found = histograms(draw(MinIoURandomCrop(), SCENES[scene]))
    for name, counts in expected.items():
        assert sum(counts) == sum(found[name]) == DRAWS
        assert distance(counts, found[name]) < 2.5, name


def test_another_distribution_is_noticed() -> None:
    expected = json.loads(REFERENCE.read_text())['two']
    other = MinIoURandomCrop(min_crop_size=0.35)
    found = histograms(draw(other, SCENES['two'], 2_000))
    counts = np.array(found['width']) * 5
    assert distance(expected['width'], counts.tolist()) > 5


@pytest.mark.parametrize('scene', ['many', 'none'])
def test_only_the_crop_of_the_canvas_is_filled(
    scene: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expand = dict(mean=[123.675, 116.28, 103.53], ratio_range=(1, 4), prob=0.8)
    transform = MinIoURandomCrop(expand=expand, bbox_clip_border=False)
    crops = []

    def draw_any(size: tuple[int, int], boxes: np.ndarray) -> np.ndarray:
        x, y = (np.sort(np.random.permutation(s)[:2]) for s in size[::-1])
        crops.append((size, np.array([x[0], y[0], x[1], y[1]])))
        return crops[-1][1]

    monkeypatch.setattr(transform, '_draw', draw_any)
    for seed in range(50):
        np.random.seed(seed)
        found = transform(sample(SCENES[scene]))
        size, (x1, y1, x2, y2) = crops[-1]
        np.random.seed(seed)
        canvas = Expand(**expand)(sample(SCENES[scene]))
        assert canvas['img'].shape[:2] == size
        np.testing.assert_array_equal(
            found['img'], canvas['img'][y1:y2, x1:x2]
        )
        assert found['img_shape'] == found['img'].shape[:2]
        kept = found['gt_bboxes_labels']
        moved = canvas['gt_bboxes'].tensor[kept] - torch.tensor([x1, y1] * 2)
        torch.testing.assert_close(found['gt_bboxes'].tensor, moved)


def test_masks_and_maps_are_cropped_too() -> None:
    np.random.seed(1)
    transform = MinIoURandomCrop(
        expand=dict(ratio_range=(2, 3), seg_ignore_label=255, prob=1)
    )
    shapes = set()
    for _ in range(20):
        results = sample(SCENES['many'])
        masks = np.zeros((4, 60, 80), np.uint8)
        for mask, (x1, y1, x2, y2) in zip(masks, SCENES['many']):
            mask[y1:y2, x1:x2] = 1
        results['gt_masks'] = BitmapMasks(masks, 60, 80)
        results['gt_seg_map'] = masks.max(axis=0)
        found = transform(results)
        size = found['img'].shape[:2]
        shapes.add(size)
        assert found['gt_seg_map'].shape == size
        assert found['gt_masks'].masks.shape[1:] == size
        inside = found['gt_masks'].get_bboxes(HorizontalBoxes).tensor
        torch.testing.assert_close(inside, found['gt_bboxes'].tensor)
        outside = (found['gt_seg_map'] == 255).mean()
        assert outside > 0
    assert len(shapes) > 5


def test_an_overlap_that_no_crop_has_is_not_tried() -> None:
    transform = MinIoURandomCrop()
    small = np.array([[10, 10, 12, 12]], np.float32)
    assert transform._largest_overlap((60, 80), small) < 0.1
    found = transform(sample(small.tolist()))
    assert len(found['gt_bboxes']) == 1
