"""The rendered scenes in the layout of KITTI's 3D object benchmark."""

import os
from pathlib import Path

import numpy as np

from ..camera import KITTI_P2, KITTI_SIZE, Camera
from ..frame import Frame, RoadUser
from ..layout import KITTI_PROFILE
from .common import Series, save_image, staged

_TYPES = {'car': 'Car', 'pedestrian': 'Pedestrian', 'cyclist': 'Cyclist'}
# Visible share below which a road user counts as partly, largely occluded,
# and as too hidden to be labelled.
_PARTLY, _LARGELY, _HIDDEN = 0.85, 0.5, 0.1
# Nor is one labelled that is lower than this, in pixels at full resolution,
# or almost entirely outside the image.
_MIN_HEIGHT = 14.0
_MAX_TRUNCATION = 0.9
# Offsets of the cameras 0, 1 and 3 along x against camera 0, in metres.
_BASELINES = {'P0': 0.0, 'P1': -0.54, 'P3': -0.47}


def occlusion_level(visible: float) -> int:
    """KITTI's 0 (fully visible), 1 (partly) or 2 (largely occluded)."""
    return 0 if visible >= _PARTLY else 1 if visible >= _LARGELY else 2


def _unlabelled(user: RoadUser, camera: Camera) -> bool:
    height = user.projected[3] - user.projected[1]
    scale = camera.P2[1, 1] / KITTI_P2[1, 1]
    return (
        user.visible < _HIDDEN
        or height < _MIN_HEIGHT * scale
        or user.truncation > _MAX_TRUNCATION
    )


def label_line(user: RoadUser, camera: Camera) -> str:
    """The 15 fields of a label, or DontCare with the box that shows."""
    if _unlabelled(user, camera):
        # A pixel reaches half a pixel around its centre.
        last = [camera.width - 1, camera.height - 1] * 2
        box = ' '.join(f'{v:.2f}' for v in np.clip(user.box - 0.5, 0, last))
        return f'DontCare -1 -1 -10 {box} -1 -1 -1 -1000 -1000 -1000 -10'
    x, y, z, length, height, width, yaw = user.box3d
    numbers = (user.alpha, *user.projected, height, width, length, x, y, z,
               yaw)  # fmt: skip
    return (
        f'{_TYPES[user.kind]} {user.truncation:.2f} '
        f'{occlusion_level(user.visible)} '
        + ' '.join(f'{v:.2f}' for v in numbers)
    )


def label_text(frame: Frame) -> str:
    """A label file: nearest road user first, DontCare last."""
    lines = [label_line(u, frame.camera) for u in reversed(frame.users)]
    lines.sort(key=lambda line: line.startswith('DontCare'))
    return ''.join(f'{line}\n' for line in lines)


def calib_text(camera: Camera) -> str:
    """A calib file: rectified cameras side by side and an upright LiDAR."""
    matrices = {'P2': camera.P2}
    for name, offset in _BASELINES.items():
        matrices[name] = camera.P2.copy()
        matrices[name][:, 3] = camera.P2[:, :3] @ [offset, 0.0, 0.0]
    matrices = dict(sorted(matrices.items()))
    matrices['R0_rect'] = np.eye(3)
    matrices['Tr_velo_to_cam'] = np.array([
        [0.0, -1.0, 0.0, 0.0],
        [0.0, 0.0, -1.0, -0.08],
        [1.0, 0.0, 0.0, -0.27],
    ])  # fmt: skip
    matrices['Tr_imu_to_velo'] = np.array([
        [1.0, 0.0, 0.0, -0.81],
        [0.0, 1.0, 0.0, 0.32],
        [0.0, 0.0, 1.0, -0.80],
    ])  # fmt: skip
    return ''.join(
        f'{name}: ' + ' '.join(f'{v:.12e}' for v in matrix.ravel()) + '\n'
        for name, matrix in matrices.items()
    )


def write_kitti(
    out_dir: str | os.PathLike,
    num_images: int,
    seed: int = 0,
    size: tuple[int, int] = KITTI_SIZE,
    val_fraction: float = 0.25,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Writes training/{image_2,label_2,calib} and ImageSets.

    The 2D box is that of the projected 3D box, clipped to the image;
    truncation and occlusion are computed. Road users that are too small, too
    hidden or almost out of view are DontCare. testing/ stays empty. At a
    smaller size the camera of KITTI is scaled (and cropped when the
    proportions differ), so depths and sizes in metres stay KITTI's.

    Args:
        out_dir: Folder of the data set; must be new or empty.
        num_images (int): Number of frames in training/.
        seed (int): Selects the series of scenes.
        size (tuple): Width and height in pixels.
        val_fraction (float): Share of val, in [0, 1).
        overwrite (bool): Replace an older data set of this kind.
        progress (bool): Show a progress bar.

    Returns:
        Path: ``out_dir``.

    Raises:
        UserError: if an argument or the folder cannot be used.
    """
    series = Series(num_images, seed, size, val_fraction)
    with staged(out_dir, 'kitti', series, overwrite) as work:
        for folder in ('label_2', 'calib'):
            (work / 'training' / folder).mkdir(parents=True)
        for folder in ('image_2', 'calib'):
            (work / 'testing' / folder).mkdir(parents=True)
        ids = {'train': [], 'val': [], 'trainval': [], 'test': []}
        for index, frame in series.frames(KITTI_PROFILE, progress):
            name = f'{index:06d}'
            root = work / 'training'
            save_image(root / 'image_2' / f'{name}.png', frame.image)
            (root / 'label_2' / f'{name}.txt').write_text(label_text(frame))
            (root / 'calib' / f'{name}.txt').write_text(
                calib_text(frame.camera)
            )
            ids[series.part(index)].append(name)
            ids['trainval'].append(name)
        (work / 'ImageSets').mkdir()
        for split, names in ids.items():
            text = ''.join(f'{name}\n' for name in names)
            (work / 'ImageSets' / f'{split}.txt').write_text(text)
    return Path(out_dir)
