"""COCO data sets that share their annotations between processes."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from mmdet.datasets import CocoDataset as MMDetCocoDataset

from lvt_dense.registry import DATASETS

from .coco_check import load_index
from .coco_index import CocoIndex, Slices


@DATASETS.register_module()
class CocoDataset(MMDetCocoDataset):
    """MMDetection's data set, which starts in seconds.

    The annotation file is read once a version, by one process. Later, and in
    other processes, annotations of an image are read from the file when the
    image is. What the data set returns is the same.

    Args:
        **kwargs: As for MMDetection's ``CocoDataset``.
    """

    _index: CocoIndex | None = None

    def load_data_list(self) -> list[dict]:
        """List the images; :meth:`get_data_info` adds their instances."""
        if self.backend_args or '://' in str(self.ann_file):
            return super().load_data_list()
        index = load_index(Path(self.ann_file))
        if index.report.fault:
            return super().load_data_list()  # which says what it stumbles on
        self._index = index
        self._slices = Slices(self.ann_file)
        classes = self.metainfo['classes']
        ids = [number for number, name in index.categories if name in classes]
        self.cat_ids = ids
        self.cat2label = {number: i for i, number in enumerate(ids)}
        self.cat_img_map = self._map_categories(index)
        infos = []
        for number, (image, name, width, height) in enumerate(index.images):
            raw = dict(
                id=image,
                img_id=image,
                file_name=name,
                width=width,
                height=height,
            )
            info = self.parse_data_info(
                dict(raw_ann_info=[], raw_img_info=raw)
            )
            info['annotations_of'] = number
            infos.append(info)
        return infos

    def _map_categories(self, index: CocoIndex) -> dict[Any, list]:
        """Return the ids of the images of each category."""
        found: dict[Any, list] = defaultdict(list)
        owners = np.repeat(np.arange(len(index.images)), np.diff(index.first))
        for label, (number, _) in enumerate(index.categories):
            images = np.unique(owners[index.labels == label]).tolist()
            found[number] = [index.images[i][0] for i in images]
        return found

    def get_data_info(self, idx: int) -> dict:
        """Return what is known of an image, with its instances."""
        info = super().get_data_info(idx)
        number = info.pop('annotations_of', None)
        if number is None or self._index is None:
            return info
        index = self._index
        annotations = [
            json.loads(self._slices.read(start, stop))
            for start, stop in zip(
                index.starts[index.first[number] : index.first[number + 1]],
                index.stops[index.first[number] : index.first[number + 1]],
            )
        ]
        image, name, width, height = index.images[number]
        raw = dict(img_id=image, file_name=name, width=width, height=height)
        parsed = self.parse_data_info(
            dict(raw_ann_info=annotations, raw_img_info=raw)
        )
        info['instances'] = parsed['instances']
        return info
