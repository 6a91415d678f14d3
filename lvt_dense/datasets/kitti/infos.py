"""Read MMDetection3D's info files of KITTI (kitti_infos_*.pkl, format v2).

A pickle can run any code when it is read. These files hold dicts, lists,
numbers and arrays alone, so nothing else is admitted.
"""

from pathlib import Path

import numpy as np

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.unpickling import DataUnpickler

from .frames import KittiFrame
from .labels import DONT_CARE, KittiObjects


def load_infos(path: str, image_dir: str) -> list[KittiFrame]:
    """Read the frames of an info file.

    Args:
        path: A kitti_infos_*.pkl of MMDetection3D 1.1 or later.
        image_dir: Folder of the images it names.

    Raises:
        UserError: The file is missing, holds anything but plain data, or
            is of another format.
    """
    try:
        with open(path, 'rb') as file:
            infos = DataUnpickler(file).load()
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


def _to_frame(
    info: dict, names: dict[int, str], image_dir: Path
) -> KittiFrame:
    camera = info['images']['CAM2']
    cam2img = np.eye(4)
    matrix = np.asarray(camera['cam2img'], dtype=np.float64)
    cam2img[: len(matrix)] = matrix
    objects = None
    if 'instances' in info:
        objects = _to_objects(info['instances'], names)
    return KittiFrame(
        f'{int(info["sample_idx"]):06d}',
        str(image_dir / Path(camera['img_path']).name),
        (int(camera['width']), int(camera['height'])),
        cam2img,
        objects,
    )


def _to_objects(items: list[dict], names: dict[int, str]) -> KittiObjects:
    def gather(key: str, *shape: int) -> np.ndarray:
        values = [item[key] for item in items]
        return np.array(values, dtype=np.float64).reshape(-1, *shape)

    return KittiObjects(
        types=np.array(
            [names.get(item['bbox_label'], DONT_CARE) for item in items],
            dtype=np.str_,
        ),
        truncated=gather('truncated'),
        occluded=gather('occluded').astype(np.int64),
        alphas=gather('alpha'),
        bboxes=gather('bbox', 4),
        boxes_3d=gather('bbox_3d', 7),
        scores=np.ones(len(items)),
    )
