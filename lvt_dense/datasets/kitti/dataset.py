"""KITTI for monocular 3D detection, straight from its folders."""

import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from lvt_dense.registry import DATASETS
from lvt_dense.utils.errors import UserError

from .frames import KittiFrame, load_frames, reach_beyond
from .infos import load_infos
from .labels import DONT_CARE, find_calib, read_calib

# The folders of KITTI's training frames.
DATA_PREFIX = dict(
    img='training/image_2', calib='training/calib', label='training/label_2'
)


@DATASETS.register_module()
class KittiMonoDataset(BaseDataset):
    """KITTI's object detection benchmark, left color camera only.

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

    Any types of the label files can be classes, in any letter case:
    ``metainfo=dict(classes=('Truck', 'Van'))``.

    Args:
        ann_file: List of frames, relative to the data root; empty for all
            frames of the folders; or an info file of MMDetection3D (.pkl,
            format v2), which replaces the label and calibration folders.
        data_prefix: Folders ``img``, ``calib`` and ``label``. By default
            those of KITTI's training frames; beside a given ``img``,
            ``calib`` is the folder of that name next to it, and in training
            ``label`` is ``label_2`` there. In test mode a data set without
            ``label`` has no labels, such as KITTI's test set.
        **kwargs: Arguments of :class:`mmengine.dataset.BaseDataset`. With
            ``filter_cfg=dict(filter_empty_gt=True)`` frames without any
            object of the classes are left out of training.

    Attributes:
        mean_sizes: Mean length, height and width in meters of the objects
            of each class, None for one without objects.

    Raises:
        UserError: A file is missing or malformed, or there is no object to
            learn from; the message names it.
    """

    METAINFO = dict(
        dataset_type='kitti',
        classes=('Pedestrian', 'Cyclist', 'Car'),
        palette=[(220, 20, 60), (255, 159, 28), (0, 132, 255)],
    )

    def __init__(
        self,
        ann_file: str = 'ImageSets/train.txt',
        data_prefix: dict | None = None,
        **kwargs: Any,
    ) -> None:
        self.mean_sizes: list[tuple[float, float, float] | None] = []
        prefix = complete_prefix(data_prefix, kwargs.get('test_mode', False))
        super().__init__(ann_file=ann_file, data_prefix=prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read all frames of the list or of the info file.

        Raises:
            UserError: In training, no frame has an object of the classes;
                in testing, a file is no image.
        """
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
        frames = self._leave_out_unreadable(frames)
        classes = self.metainfo['classes']
        infos = [self._to_data_info(frame, classes) for frame in frames]
        self.mean_sizes = _mean_sizes(infos, len(classes))
        self._check_classes(frames, classes)
        return infos

    def filter_data(self) -> list[dict]:
        """Leave out frames without objects, if told to, in training."""
        filter_cfg = self.filter_cfg or {}
        if self.test_mode or not filter_cfg.get('filter_empty_gt', False):
            return self.data_list
        return [info for info in self.data_list if info['instances']]

    def get_data_info(self, idx: int) -> dict:
        """Return the frame under an index, its identifier as sample_idx."""
        info = super().get_data_info(idx)
        # The base class puts the index there.
        info.update(index=idx, sample_idx=info['img_id'])
        return info

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the labels in a frame, for class-balanced sampling."""
        instances = self.get_data_info(idx)['instances']
        return [instance['bbox_label'] for instance in instances]

    @staticmethod
    def image_info(path: str) -> dict:
        """Describe an image alone, with its camera but without labels.

        Raises:
            UserError: There is no calibration file, see
                :func:`~lvt_dense.datasets.kitti.labels.find_calib`.
        """
        camera = read_calib(find_calib(path))
        return dict(
            sample_idx=Path(path).stem,
            img_path=str(path),
            cam2img=camera,
            ori_cam2img=camera,
        )

    def _leave_out_unreadable(
        self, frames: list[KittiFrame]
    ) -> list[KittiFrame]:
        broken = [f.img_path for f in frames if not f.image_size[0]]
        if not broken:
            return frames
        more = f' (and {len(broken) - 1} more)' if broken[1:] else ''
        message = f'{broken[0]}{more}: cannot be read as image'
        if self.test_mode or len(broken) == len(frames):
            raise UserError(f'{message}; replace it')
        print_log(
            f'{message}; training goes on without it',
            logger='current',
            level=logging.WARNING,
        )
        return [frame for frame in frames if frame.image_size[0]]

    def _check_classes(
        self, frames: list[KittiFrame], classes: Sequence[str]
    ) -> None:
        """Say which classes never occur, and refuse to train on nothing."""
        if all(frame.objects is None for frame in frames):
            if self.test_mode:
                return
            raise UserError(
                f'{self.ann_file}: the frames have no labels to train on; '
                f'data_prefix is {dict(self.data_prefix)}, name the folder of '
                'the label files as its "label"'
            )
        absent = [
            name
            for name, size in zip(classes, self.mean_sizes)
            if size is None
        ]
        if not absent:
            return
        place = self.ann_file or self.data_prefix['img']
        there = Counter(_types(frames))
        listed = ', '.join(f'{n} {t}' for t, n in there.most_common())
        message = (
            f'{place}: no object of the class {", ".join(absent)} in '
            f'{len(frames)} frames; their labels hold {listed or "nothing"}'
        )
        if len(absent) == len(classes) and not self.test_mode:
            raise UserError(f'{message}; set metainfo=dict(classes=...)')
        print_log(message, logger='current', level=logging.WARNING)

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


def complete_prefix(given: dict | None, test_mode: bool) -> dict[str, str]:
    """Add the folders that ``data_prefix`` leaves out.

    Args:
        given: Some of ``img``, ``calib`` and ``label``, or None. A label
            that is None stays out.
        test_mode: Whether frames may have no labels.
    """
    given = dict(given or {})
    if given.get('img') is None:
        return {
            key: folder
            for key, folder in {**DATA_PREFIX, **_without_none(given)}.items()
            if key != 'label' or given.get('label', folder) is not None
        }
    beside = Path(given['img']).parent
    filled = dict(img=given['img'], calib=str(beside / 'calib'))
    if not test_mode and 'label' not in given:
        filled['label'] = str(beside / 'label_2')
    return {**filled, **_without_none(given)}


def _without_none(values: dict) -> dict:
    return {k: v for k, v in values.items() if v is not None}


def _types(frames: Iterable[KittiFrame]) -> Iterable[str]:
    for frame in frames:
        if frame.objects is not None:
            own = ~frame.objects.is_type(DONT_CARE)
            yield from frame.objects.types[own].tolist()


def _mean_sizes(
    infos: Iterable[dict], num_classes: int
) -> list[tuple[float, float, float] | None]:
    sizes: list[list] = [[] for _ in range(num_classes)]
    for info in infos:
        for item in info['instances']:
            # A label of a 2D box alone has -1 for its size.
            if min(item['bbox_3d'][3:6]) > 0:
                sizes[item['bbox_label']].append(item['bbox_3d'][3:6])
    return [
        tuple(np.mean(own, 0).round(4).tolist()) if own else None
        for own in sizes
    ]


def _to_instances(frame: KittiFrame, classes: Sequence[str]) -> list[dict]:
    labels = {name.lower(): index for index, name in enumerate(classes)}
    objects = frame.objects
    if objects is None:
        return []
    width, height = frame.image_size
    last = np.array((width, height, width, height)) - 1
    bboxes = objects.bboxes.copy()
    far = reach_beyond(bboxes, frame.image_size)
    bboxes[far] = bboxes[far].clip(0, last)
    own = np.flatnonzero(objects.is_type(*classes))
    return [
        dict(
            bbox=bboxes[i].tolist(),
            bbox_label=labels[objects.types[i].lower()],
            bbox_3d=objects.boxes_3d[i].tolist(),
            alpha=float(objects.alphas[i]),
            truncated=float(objects.truncated[i]),
            occluded=int(objects.occluded[i]),
            ignore_flag=0,
        )
        for i in own
    ]
