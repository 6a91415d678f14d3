"""Rendered frames: the same every time, and labels that fit the picture."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from lvt_dense.scenes.camera import Camera
from lvt_dense.scenes.frame import render, render_scene
from lvt_dense.scenes.layout import (
    KITTI_PROFILE,
    NEAR_PROFILE,
    Scene,
    sample_scene,
)
from lvt_dense.scenes.road_users import sample_road_user
from lvt_dense.scenes.solids import Label, Solid

NEAR = Camera.for_size(320, 240)
WIDE = Camera.for_size(1242, 375)
LABELS = {
    'car': {Label.CAR},
    'pedestrian': {Label.PERSON},
    'cyclist': {Label.RIDER, Label.BICYCLE},
}


@pytest.fixture(scope='module')
def frames() -> list:
    near = [render(7, i, NEAR, NEAR_PROFILE) for i in range(12)]
    return near + [render(7, i, WIDE, KITTI_PROFILE) for i in range(6)]


def _users(frames: list) -> list[tuple]:
    return [(f, u) for f in frames for u in f.users]


def _empty_scene(camera: Camera = NEAR) -> Scene:
    scene = sample_scene(np.random.default_rng(3), camera, NEAR_PROFILE)
    return replace(scene, solids=[])


def _road_user(
    scene: Scene, kind: str, x: float, z: float, yaw: float
) -> Solid:
    look = sample_road_user(np.random.default_rng(5), kind)
    position = scene.ground.lift(np.array([x, z]))
    return Solid(look, position, yaw, kind)


def test_frame_depends_on_seed_and_index_alone() -> None:
    first = render(1, 4, NEAR, NEAR_PROFILE)
    render(1, 5, NEAR, NEAR_PROFILE)
    render(9, 0, WIDE, KITTI_PROFILE)
    again = render(1, 4, NEAR, NEAR_PROFILE)
    np.testing.assert_array_equal(first.image, again.image)
    np.testing.assert_array_equal(first.instances, again.instances)
    for seed, index in ((1, 5), (2, 4)):
        other = render(seed, index, NEAR, NEAR_PROFILE)
        assert (other.image != first.image).any()


@pytest.mark.parametrize('size', [(32, 32), (240, 320), (333, 77), (40, 900)])
def test_any_size_renders(size: tuple[int, int]) -> None:
    frame = render(0, 0, Camera.for_size(*size), NEAR_PROFILE)
    assert frame.image.shape == (size[1], size[0], 3)
    assert frame.labels.shape == frame.instances.shape == size[::-1]
    assert frame.image.std() > 5


def test_boxes_and_areas_are_those_of_the_masks(frames: list) -> None:
    for frame, user in _users(frames):
        rows, columns = np.nonzero(frame.instances == user.number)
        assert user.area == len(rows) > 0
        expected = [columns.min(), rows.min(), columns.max() + 1,
                    rows.max() + 1]  # fmt: skip
        assert user.box.tolist() == expected
    counted = {u.number for u in frames[0].users}
    assert set(np.unique(frames[0].instances)) == counted | {0}


def test_labels_agree_with_instances(frames: list) -> None:
    for frame in frames:
        users = {u.number: u.kind for u in frame.users}
        for number, kind in users.items():
            shown = set(frame.labels[frame.instances == number].tolist())
            assert shown <= LABELS[kind]
        of_users = np.isin(frame.labels, [9, 10, 11, 12])
        np.testing.assert_array_equal(of_users, frame.instances > 0)


def _corners(box3d: np.ndarray) -> np.ndarray:
    """Corners from KITTI's development kit: R_y(ry) times the box."""
    x, y, z, length, height, width, yaw = box3d
    a = np.array([1, 1, -1, -1, 1, 1, -1, -1]) * length / 2
    b = np.array([0, 0, 0, 0, 1, 1, 1, 1]) * -height
    c = np.array([1, -1, -1, 1, 1, -1, -1, 1]) * width / 2
    cos, sin = np.cos(yaw), np.sin(yaw)
    return np.stack([cos * a + sin * c + x, b + y, -sin * a + cos * c + z], 1)


def _project(camera: Camera, points: np.ndarray) -> np.ndarray:
    uvw = np.c_[points, np.ones(len(points))] @ camera.P2.T
    return uvw[:, :2] / uvw[:, 2:]


def test_masks_lie_within_the_projected_3d_boxes(frames: list) -> None:
    checked = 0
    for frame, user in _users(frames):
        pixels = _project(frame.camera, _corners(user.box3d))
        hull = cv2.convexHull(pixels.astype(np.float32))
        allowed = np.zeros_like(frame.instances)
        cv2.fillConvexPoly(allowed, np.rint(hull * 16).astype(int), 1, 8, 4)
        allowed = cv2.dilate(allowed, np.ones((3, 3)))
        assert allowed[frame.instances == user.number].all()
        low, high = pixels.min(0), pixels.max(0)
        if user.truncation == 0:
            np.testing.assert_allclose(user.projected, [*low, *high])
        if user.visible == 1 and user.truncation == 0:
            # and the solids fill their boxes
            height = user.box[3] - user.box[1]
            assert 0.85 < height / (high - low)[1] < 1 + 3 / height
            checked += 1
    assert checked > 10


def test_alpha_is_yaw_seen_along_the_line_of_sight(frames: list) -> None:
    for frame, user in _users(frames):
        P2 = frame.camera.P2
        bottom = _project(frame.camera, user.box3d[None, :3])[0]
        bearing = np.arctan2(bottom[0] - P2[0, 2], P2[0, 0])
        yaw = user.alpha + bearing - user.box3d[6]
        assert np.cos(yaw) > 1 - 1e-5
        assert -np.pi <= user.alpha < np.pi


def test_road_users_stand_on_the_ground_apart_from_each_other() -> None:
    scene = sample_scene(np.random.default_rng(0), WIDE, KITTI_PROFILE)
    users = [s for s in scene.solids if s.kind]
    assert len(users) >= 5
    for solid in users:
        x, y, z = solid.position
        assert y == pytest.approx(scene.ground.height + scene.ground.slope * z)
    for i, a in enumerate(users):
        for b in users[:i]:
            rects = [
                cv2.minAreaRect(s.outline.astype(np.float32)) for s in (a, b)
            ]
            assert cv2.rotatedRectangleIntersection(*rects)[0] == 0


def test_sizes_are_kittis() -> None:
    dims = {k: [] for k in LABELS}
    for i in range(30):
        scene = sample_scene(np.random.default_rng(i), WIDE, KITTI_PROFILE)
        for solid in scene.solids:
            if solid.kind:
                dims[solid.kind].append(solid.dims)
    for kind, mean in (
        ('car', (3.89, 1.53, 1.62)),
        ('pedestrian', (0.82, 1.77, 0.63)),
        ('cyclist', (1.77, 1.72, 0.57)),
    ):
        np.testing.assert_allclose(np.mean(dims[kind], 0), mean, rtol=0.05)


@pytest.mark.parametrize('kind', ['car', 'pedestrian', 'cyclist'])
def test_mask_is_where_the_picture_shows_the_road_user(kind: str) -> None:
    scene = _empty_scene()
    solid = _road_user(scene, kind, 0.3, 9.0, 0.4)
    pictures = []
    for gray in (0.0, 255.0):
        palette = np.full_like(solid.look.palette, gray)
        painted = replace(solid, look=replace(solid.look, palette=palette))
        frame = render_scene(replace(scene, solids=[painted]))
        pictures.append(frame.image.astype(int))
    changed = np.abs(pictures[0] - pictures[1]).sum(-1) > 0
    mask = (frame.instances > 0).astype(np.uint8)
    # The lens blurs by one pixel.
    wide = cv2.dilate(mask, np.ones((3, 3), np.uint8))
    assert not changed[wide == 0].any()
    assert changed[mask > 0].all()


def test_visible_share_is_what_the_occluder_leaves() -> None:
    scene = _empty_scene()
    car = _road_user(scene, 'car', 0.0, 14.0, 0.9)
    man = _road_user(scene, 'pedestrian', 0.2, 8.0, 0.0)
    alone = render_scene(replace(scene, solids=[car])).users[0]
    assert alone.visible == 1
    frame = render_scene(replace(scene, solids=[man, car]))
    behind, before = frame.users
    assert (behind.kind, before.kind) == ('car', 'pedestrian')
    assert before.visible == 1
    assert 0.3 < behind.visible < 0.95
    assert behind.visible == pytest.approx(behind.area / alone.area)


def test_truncation_is_the_share_outside_the_image() -> None:
    scene = _empty_scene()
    x = NEAR.column_to_x(0.0, 12.0)
    inside, cut = (
        render_scene(replace(scene, solids=[solid])).users[0]
        for solid in (
            _road_user(scene, 'car', 0.0, 12.0, 0.0),
            _road_user(scene, 'car', x, 12.0, 0.0),
        )
    )
    assert inside.truncation == 0
    assert cut.truncation == pytest.approx(0.5, abs=0.06)
    assert cut.projected[0] == 0
    columns = _project(NEAR, _corners(cut.box3d))[:, 0]
    outside = -columns.min() / np.ptp(columns)
    assert cut.truncation == pytest.approx(outside)


def test_front_and_rear_of_a_car_look_different() -> None:
    scene = _empty_scene()

    def reds(yaw: float) -> np.ndarray:
        car = _road_user(scene, 'car', 0.0, 9.0, yaw)
        palette = car.look.palette.copy()
        palette[0] = 120.0
        car = replace(car, look=replace(car.look, palette=palette))
        frame = render_scene(replace(scene, solids=[car]))
        blue, green, red = cv2.split(frame.image.astype(int))
        return (frame.instances > 0) & (red > green + 60) & (red > blue + 60)

    away, toward = reds(-np.pi / 2), reds(np.pi / 2)
    assert away.sum() > 50
    assert toward.sum() == 0
