"""The rendered scenes in the layout of KITTI's 3D object benchmark."""

import os
from pathlib import Path

import numpy as np

from lvt_dense.datasets.kitti.labels import (
    KittiObjects,
    format_calib,
    format_objects,
)
from lvt_dense.scenes.camera import KITTI_P2, KITTI_SIZE, Camera
from lvt_dense.scenes.frame import Frame, RoadUser
from lvt_dense.scenes.layout import KITTI_PROFILE

from .common import Series, save_image, stage_folder

_TYPES = {'car': 'Car', 'pedestrian': 'Pedestrian', 'cyclist': 'Cyclist'}
# Visible share below which a road user counts as partly, largely occluded,
# and as too hidden to be labeled.
_PARTLY, _LARGELY, _HIDDEN = 0.85, 0.5, 0.1
# Nor is one labeled that is lower than this, in pixels at full resolution,
# or almost entirely outside the image.
_MIN_HEIGHT = 14.0
_MAX_TRUNCATION = 0.9
# Offsets of the cameras 0, 1 and 3 along x against camera 0, in meters.
_BASELINES = {'P0': 0.0, 'P1': -0.54, 'P3': -0.47}


def occlusion_level(visible: float) -> int:
    """Return KITTI's 0 (visible), 1 (partly) or 2 (largely occluded)."""
    return 0 if visible >= _PARTLY else 1 if visible >= _LARGELY else 2


def _is_unlabeled(user: RoadUser, camera: Camera) -> bool:
    height = user.projected[3] - user.projected[1]
    scale = camera.P2[1, 1] / KITTI_P2[1, 1]
    return (
        user.visible < _HIDDEN
        or height < _MIN_HEIGHT * scale
        or user.truncation > _MAX_TRUNCATION
    )


def label_objects(frame: Frame) -> KittiObjects:
    """Label the road users of a frame: the nearest first, DontCare last."""
    camera = frame.camera
    users = list(reversed(frame.users))
    hidden = [user for user in users if _is_unlabeled(user, camera)]
    shown = [user for user in users if not _is_unlabeled(user, camera)]
    # A pixel reaches half a pixel around its center.
    last = np.array([camera.width - 1, camera.height - 1] * 2)
    regions = [np.clip(user.box - 0.5, 0, last) for user in hidden]
    labels = KittiObjects(
        types=np.array([_TYPES[u.kind] for u in shown], dtype=np.str_),
        truncated=np.array([u.truncation for u in shown]),
        occluded=np.array([occlusion_level(u.visible) for u in shown]),
        alphas=np.array([u.alpha for u in shown]),
        bboxes=np.array([u.projected for u in shown]).reshape(-1, 4),
        boxes_3d=np.array([u.box3d for u in shown]).reshape(-1, 7),
        scores=np.ones(len(shown)),
    )
    ignored = KittiObjects.dont_care(np.array(regions).reshape(-1, 4))
    return KittiObjects.concatenate([labels, ignored])


def make_calib(camera: Camera) -> str:
    """Format a calib file: cameras side by side and an upright LiDAR."""
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
    return format_calib(matrices)


def write_kitti(
    out_dir: str | os.PathLike,
    num_images: int,
    seed: int = 0,
    size: tuple[int, int] = KITTI_SIZE,
    val_fraction: float = 0.25,
    overwrite: bool = False,
    progress: bool = False,
) -> Path:
    """Write training/{image_2,label_2,calib} and ImageSets.

    The 2D box is that of the projected 3D box, clipped to the image;
    truncation and occlusion are computed. Road users that are too small, too
    hidden or almost out of view are DontCare. testing/ stays empty. At a
    smaller size the camera of KITTI is scaled (and cropped when the
    proportions differ), so depths and sizes in meters stay KITTI's.

    Args:
        out_dir: Folder of the data set; must be new or empty.
        num_images: Number of frames in training/.
        seed: Selects the series of scenes.
        size: Width and height in pixels.
        val_fraction: Share of val, in [0, 1).
        overwrite: Replace an older data set of this kind.
        progress: Show a progress bar.

    Returns:
        ``out_dir``.

    Raises:
        UserError: An argument or the folder cannot be used.
    """
    series = Series(num_images, seed, size, val_fraction)
    with stage_folder(out_dir, 'kitti', series, overwrite) as work:
        for folder in ('label_2', 'calib'):
            (work / 'training' / folder).mkdir(parents=True)
        for folder in ('image_2', 'calib'):
            (work / 'testing' / folder).mkdir(parents=True)
        ids: dict[str, list[str]] = {
            'train': [],
            'val': [],
            'trainval': [],
            'test': [],
        }
        for index, frame in series.frames(KITTI_PROFILE, progress):
            name = f'{index:06d}'
            root = work / 'training'
            save_image(root / 'image_2' / f'{name}.png', frame.image)
            (root / 'label_2' / f'{name}.txt').write_text(
                format_objects(label_objects(frame))
            )
            (root / 'calib' / f'{name}.txt').write_text(
                make_calib(frame.camera)
            )
            ids[series.part(index)].append(name)
            ids['trainval'].append(name)
        _write_lists(work / 'ImageSets', ids)
    return Path(out_dir)


def _write_lists(folder: Path, ids: dict[str, list[str]]) -> None:
    folder.mkdir()
    for split, names in ids.items():
        text = ''.join(f'{name}\n' for name in names)
        (folder / f'{split}.txt').write_text(text)
