"""KITTI for monocular 3D detection, straight from its folders."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from lvt_dense.errors import UserError
from lvt_dense.registry import DATASETS

from .frames import KittiFrame, load_frames
from .infos import load_infos
from .labels import read_calib


@DATASETS.register_module()
class KittiMonoDataset(BaseDataset):
    """KITTI's object detection benchmark, left colour camera only.

    The data root holds KITTI's folders as they are unpacked, without any
    conversion, and the lists of frames that users add themselves::

        data_root
        |-- ImageSets        train.txt, val.txt, test.txt ...
        |-- training         image_2, calib, label_2
        `-- testing          image_2, calib

    A frame is a dict of ``sample_idx`` (such as '000012'), ``img_path``,
    ``height``, ``width``, ``cam2img`` (4 x 4) and ``instances``, one dict
    for each object of the classes with ``bbox`` (x1, y1, x2, y2),
    ``bbox_label``, ``bbox_3d`` (x, y, z, l, h, w, ry), ``alpha``,
    ``truncated``, ``occluded`` and ``ignore_flag`` 0. In test mode
    ``eval_labels`` holds all labels, DontCare included, as
    :class:`KittiObjects`; it is None where there are no labels.

    Args:
        ann_file: list of frames, relative to the data root; or an info file
            of MMDetection3D (.pkl, format v2), which replaces the label and
            calibration folders.
        data_prefix: the folders ``img``, ``calib`` and ``label``; without
            ``label`` the data set has no labels, such as the test set.
        **kwargs: of :class:`mmengine.dataset.BaseDataset`. With
            ``filter_cfg=dict(filter_empty_gt=True)`` frames without any
            object of the classes are left out of training.

    Raises:
        UserError: a file is missing or malformed; the message names it.
    """

    METAINFO = dict(
        dataset_type='kitti',
        classes=('Pedestrian', 'Cyclist', 'Car'),
        palette=[(220, 20, 60), (255, 159, 28), (0, 132, 255)],
    )

    def __init__(
        self,
        ann_file: str = 'ImageSets/train.txt',
        data_prefix: dict = dict(
            img='training/image_2',
            calib='training/calib',
            label='training/label_2',
        ),
        **kwargs,
    ) -> None:
        super().__init__(ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Reads all frames of the list or of the info file."""
        if self.ann_file.endswith('.pkl'):
            print_log(
                f'{self.ann_file} is a pickle: reading plain data and '
                'arrays from it, and refusing anything else',
                logger='current',
                level=logging.INFO,
            )
            frames = load_infos(self.ann_file, self.data_prefix['img'])
        else:
            frames = load_frames(
                self.ann_file,
                self.data_prefix['img'],
                self.data_prefix['calib'],
                self.data_prefix.get('label'),
            )
        classes = self.metainfo['classes']
        return [self._to_data_info(frame, classes) for frame in frames]

    def filter_data(self) -> list[dict]:
        """Leaves out frames without objects, if told to, in training."""
        filter_cfg = self.filter_cfg or {}
        if self.test_mode or not filter_cfg.get('filter_empty_gt', False):
            return self.data_list
        return [info for info in self.data_list if info['instances']]

    def get_data_info(self, idx: int) -> dict:
        """The frame under an index, with its identifier as sample_idx."""
        # The base class puts the index there.
        info = super().get_data_info(idx)
        info['sample_idx'] = info['img_id']
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Labels in a frame, for class-balanced sampling."""
        instances = self.get_data_info(idx)['instances']
        return [instance['bbox_label'] for instance in instances]

    @staticmethod
    def image_info(path: str) -> dict:
        """A frame of an image alone, with the camera but without labels.

        The calibration is looked for where KITTI has it, in ``calib`` next
        to the folder of the image, and then beside the image.

        Raises:
            UserError: it is in neither place, or malformed.
        """
        image = Path(path)
        places = [
            image.parent.parent / 'calib' / f'{image.stem}.txt',
            image.with_suffix('.txt'),
        ]
        found = next((p for p in places if p.is_file()), None)
        if found is None:
            raise UserError(
                f'{path}: detection in 3D needs the camera; put a text file '
                f'with the line "P2: " and its 12 numbers at {places[0]} or '
                f'{places[1]}'
            )
        camera = read_calib(found)
        return dict(
            sample_idx=image.stem,
            img_path=str(path),
            cam2img=camera,
            ori_cam2img=camera,
        )

    def _to_data_info(self, frame: KittiFrame, classes: Sequence[str]) -> dict:
        width, height = frame.image_size
        info = dict(
            img_id=frame.sample_idx,
            img_path=frame.img_path,
            height=height,
            width=width,
            cam2img=frame.cam2img,
            instances=_to_instances(frame, classes),
        )
        if self.test_mode:
            info['eval_labels'] = frame.objects
        return info


def _to_instances(frame: KittiFrame, classes: Sequence[str]) -> list[dict]:
    labels = {name.lower(): index for index, name in enumerate(classes)}
    objects = frame.objects
    if objects is None:
        return []
    own = np.flatnonzero(objects.is_type(*classes))
    return [
        dict(
            bbox=objects.bboxes[i].tolist(),
            bbox_label=labels[objects.types[i].lower()],
            bbox_3d=objects.boxes_3d[i].tolist(),
            alpha=float(objects.alphas[i]),
            truncated=float(objects.truncated[i]),
            occluded=int(objects.occluded[i]),
            ignore_flag=0,
        )
        for i in own
    ]
