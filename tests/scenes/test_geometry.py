"""Camera, ground, polygons and drawing order of the rendered scenes."""

import cv2
import numpy as np
import pytest

from lvt_dense.scenes.camera import NEAR, Camera, Ground
from lvt_dense.scenes.geometry import (
    clip_near,
    footprint,
    overlaps_any,
    painter_order,
    polygon_areas,
)
from lvt_dense.utils.errors import UserError


def test_camera_of_kitti_size_is_kittis() -> None:
    P2 = Camera.for_size(1242, 375).P2
    assert P2[0, 0] == P2[1, 1] == pytest.approx(721.5377)
    assert P2[0, 2] == pytest.approx(609.5593)
    assert P2[1, 2] == pytest.approx(172.854)
    assert P2[0, 3] == pytest.approx(44.857, abs=1e-3)


@pytest.mark.parametrize('size', [(320, 240), (480, 360), (512, 512)])
def test_camera_of_other_sizes_resizes_and_crops(
    size: tuple[int, int],
) -> None:
    point = np.array([1.3, 0.9, 14.0])
    u, v = Camera.for_size(1242, 375).project(point)
    scale = size[1] / 375
    left = (1242 * scale - size[0]) / 2
    expected = (u * scale - left, v * scale)
    np.testing.assert_allclose(Camera.for_size(*size).project(point), expected)


def test_camera_center_projects_to_nothing() -> None:
    camera = Camera.for_size(320, 240)
    homogeneous = camera.P2 @ np.append(camera.center, 1.0)
    np.testing.assert_allclose(homogeneous, 0.0, atol=1e-9)
    assert camera.center[0] == pytest.approx(-0.0598, abs=2e-3)


def test_column_to_x_inverts_projection() -> None:
    camera = Camera.for_size(320, 240)
    x = camera.column_to_x(77.0, 12.0)
    assert camera.project(np.array([x, 1.0, 12.0]))[0] == pytest.approx(77.0)


@pytest.mark.parametrize('size', [(31, 240), (320, 9000)])
def test_impossible_size_is_named(size: tuple[int, int]) -> None:
    with pytest.raises(UserError, match=f'{size[0]}x{size[1]}.*between'):
        Camera.for_size(*size)


def test_ground_homography_agrees_with_projection() -> None:
    camera, ground = Camera.for_size(320, 240), Ground(1.6, 0.01)
    xz = np.array([2.0, 17.0])
    uvw = ground.homography(camera) @ [*xz, 1.0]
    np.testing.assert_allclose(
        uvw[:2] / uvw[2], camera.project(ground.lift(xz))
    )
    far = camera.project(ground.lift(np.array([0.0, 1e7])))
    assert far[1] == pytest.approx(ground.horizon(camera), abs=1e-3)


def test_footprint_follows_kittis_rotation() -> None:
    # ry = 0 faces +x; ry = -pi/2 faces away from the camera, +z.
    np.testing.assert_allclose(
        np.ptp(footprint(0.0, 9.0, 4.0, 2.0, 0.0), axis=0), [4.0, 2.0]
    )
    quad = footprint(0.0, 9.0, 4.0, 2.0, -np.pi / 2 + 0.1)
    front = quad[:2].mean(0)
    assert front[1] == pytest.approx(9 + 2 * np.cos(0.1))
    assert front[0] == pytest.approx(2 * np.sin(0.1))


def _random_quads(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.array([
        footprint(
            *rng.uniform((-12, 4), (12, 30)),
            *rng.uniform(0.4, 5.0, 2),
            rng.uniform(-np.pi, np.pi),
        )
        for _ in range(n)
    ])  # fmt: skip


def test_overlap_agrees_with_opencv() -> None:
    rng = np.random.default_rng(0)
    quads = _random_quads(rng, 200)
    found = [overlaps_any(a, b[None]) for a, b in zip(quads, quads[::-1])]
    expected = []
    for a, b in zip(quads, quads[::-1]):
        rects = [cv2.minAreaRect(q.astype(np.float32)) for q in (a, b)]
        kind, _ = cv2.rotatedRectangleIntersection(*rects)
        expected.append(kind != cv2.INTERSECT_NONE)
    assert found == expected
    assert any(found) and not all(found)


def _met_along(quads: np.ndarray, bearing: float) -> list[int]:
    """Quads in the order in which a ray from the origin enters them."""
    steps = np.arange(0.5, 40.0, 0.02)[:, None]
    points = steps * [np.sin(bearing), np.cos(bearing)]
    entries = {}
    for i, quad in enumerate(quads):
        edges = np.roll(quad, -1, axis=0) - quad
        away = points[:, None] - quad
        turn = edges[:, 0] * away[..., 1] - edges[:, 1] * away[..., 0]
        inside = (turn > 0).all(1) | (turn < 0).all(1)
        if inside.any():
            entries[i] = inside.argmax()
    return sorted(entries, key=entries.get)


def test_painter_order_covers_what_a_ray_meets_later() -> None:
    rng = np.random.default_rng(1)
    quads: list[np.ndarray] = []
    for quad in _random_quads(rng, 80):
        if not quads or not overlaps_any(quad, np.array(quads)):
            quads.append(quad)
    quads = np.array(quads)
    assert len(quads) > 15
    order = painter_order(quads, np.zeros(2))
    assert sorted(order) == list(range(len(quads)))
    several = 0
    for bearing in np.linspace(-0.9, 0.9, 61):
        met = _met_along(quads, bearing)
        assert [i for i in order if i in met] == met[::-1]
        several += len(met) > 1
    assert several > 20


def test_painter_order_is_not_a_sort_by_distance() -> None:
    # The middle of the long wall is nearer than the box before it.
    wall = footprint(0.0, 10.0, 40.0, 1.0, 0.7)
    box = footprint(-8.0, 12.0, 1.0, 1.0, 0.0)
    quads = np.array([box, wall])
    assert np.hypot(0.0, 10.0) < np.hypot(-8.0, 12.0)
    assert _met_along(quads, np.arctan2(-8.0, 12.0)) == [0, 1]
    assert painter_order(quads, np.zeros(2)) == [1, 0]
    assert painter_order(quads[::-1], np.zeros(2)) == [0, 1]


def test_clip_near_keeps_what_is_in_front() -> None:
    square = np.array([[0, 0, -1], [1, 0, -1], [1, 0, 3], [0, 0, 3]], float)
    clipped = clip_near(square)
    assert clipped[:, 2].min() == NEAR
    area = polygon_areas(clipped[None, :, [0, 2]])
    assert area == pytest.approx(3 - NEAR)
    assert len(clip_near(square - [0, 0, 5])) == 0
    np.testing.assert_array_equal(clip_near(square + 2), square + 2)
