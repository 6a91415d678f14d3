"""Reads MMDetection3D's info files of KITTI (kitti_infos_*.pkl, format v2).

A pickle can run any code when it is read. These files hold dicts, lists,
numbers and arrays alone, so nothing else is admitted.
"""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from lvt_dense.errors import UserError

from .frames import KittiFrame
from .labels import KittiObjects

# What NumPy writes for arrays, scalars and their types; the module was
# renamed in NumPy 2.
_ARRAY_MODULES = ('numpy.core.multiarray', 'numpy._core.multiarray')
_ALLOWED = {(name, f) for name in _ARRAY_MODULES
            for f in ('_reconstruct', 'scalar')} | {
    ('numpy', 'ndarray'), ('numpy', 'dtype')}  # fmt: skip


class _DataUnpickler(pickle.Unpickler):
    """An unpickler that builds plain data and arrays, and calls no code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _ALLOWED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')


def load_infos(path: str, image_dir: str) -> list[KittiFrame]:
    """Reads the frames of an info file.

    Args:
        path: a kitti_infos_*.pkl of MMDetection3D 1.1 or later.
        image_dir: folder of the images it names.

    Raises:
        UserError: the file is missing, holds anything but plain data, or
            is of another format.
    """
    try:
        with open(path, 'rb') as file:
            infos = _DataUnpickler(file).load()
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    except Exception as error:
        raise UserError(
            f'{path}: refused, because a file of annotations holds plain '
            f'data and arrays alone: {error}'
        ) from None
    try:
        names = {
            label: name
            for name, label in infos['metainfo']['categories'].items()
        }
        return [
            _to_frame(info, names, Path(image_dir))
            for info in infos['data_list']
        ]
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise UserError(
            f'{path}: is no info file of format v2 (data_list with images, '
            f'CAM2 and instances): {error!r}; give the ImageSets list and '
            'the plain folders instead'
        ) from None


def _to_frame(info: dict, names: dict, image_dir: Path) -> KittiFrame:
    camera = info['images']['CAM2']
    cam2img = np.eye(4)
    matrix = np.asarray(camera['cam2img'], dtype=np.float64)
    cam2img[: len(matrix)] = matrix
    objects = None
    if 'instances' in info:
        rows = [_to_row(item, names) for item in info['instances']]
        objects = KittiObjects.from_rows(
            [name for name, _ in rows], [values for _, values in rows]
        )
    return KittiFrame(
        f'{int(info["sample_idx"]):06d}',
        str(image_dir / Path(camera['img_path']).name),
        (int(camera['width']), int(camera['height'])),
        cam2img,
        objects,
    )


def _to_row(item: dict, names: dict) -> tuple[str, list[float]]:
    """The name and the 14 numbers of a line of a label file."""
    x, y, z, length, height, width, yaw = item['bbox_3d']
    row = [item['truncated'], item['occluded'], item['alpha'], *item['bbox']]
    row += [height, width, length, x, y, z, yaw]
    return names.get(item['bbox_label'], 'DontCare'), row
