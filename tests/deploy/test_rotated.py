"""Overlaps of rotated rectangles against exact polygons."""

import numpy as np
import pytest
import torch
from shapely import affinity
from shapely.geometry import box

from lvt_dense.deploy.operators import greedy_mask
from lvt_dense.deploy.rotated import pairwise_overlaps


def exact(one: np.ndarray, two: np.ndarray) -> float:
    shapes = []
    for x, y, width, height, angle in (one, two):
        shape = box(-width / 2, -height / 2, width / 2, height / 2)
        shape = affinity.rotate(shape, angle, origin=(0, 0), use_radians=True)
        shapes.append(affinity.translate(shape, x, y))
    inter = shapes[0].intersection(shapes[1]).area
    return inter / (shapes[0].area + shapes[1].area - inter)


def test_overlaps_are_those_of_polygons() -> None:
    rng = np.random.default_rng(0)
    low, high = (-2, -2, 0.5, 0.5, -4), (2, 2, 4, 4, 4)
    boxes = rng.uniform(low, high, (12, 5))
    found = pairwise_overlaps(torch.tensor(boxes)[None])[0].numpy()
    expected = [[exact(a, b) for b in boxes] for a in boxes]
    np.testing.assert_allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize(
    ('other', 'overlap'),
    [
        ((0, 0, 2, 2, 0), 1.0),
        ((1, 0, 2, 2, 0), 1 / 3),
        ((2, 0, 2, 2, 0), 0.0),
        ((9, 9, 2, 2, 1), 0.0),
        ((0, 0, 1, 1, 0), 0.25),
    ],
)
def test_shared_edges(other: tuple, overlap: float) -> None:
    boxes = torch.tensor([[(0, 0, 2, 2, 0), other]], dtype=torch.float64)
    assert float(pairwise_overlaps(boxes)[0, 0, 1]) == pytest.approx(overlap)


def test_a_suppressed_box_suppresses_nothing() -> None:
    overlaps = torch.eye(3)
    overlaps[0, 1] = overlaps[1, 0] = overlaps[1, 2] = overlaps[2, 1] = 1
    assert greedy_mask(overlaps[None])[0].tolist() == [True, False, True]
