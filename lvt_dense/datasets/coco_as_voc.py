"""COCO as a part of PASCAL VOC's training set for segmentation."""

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset, PascalVOCDataset
from pycocotools import mask as masks

from lvt_dense.registry import DATASETS

# VOC's classes that have another name in COCO.
COCO_NAMES = dict(
    aeroplane='airplane',
    diningtable='dining table',
    motorbike='motorcycle',
    pottedplant='potted plant',
    sofa='couch',
    tvmonitor='tv',
)


@DATASETS.register_module()
class COCOAsVOCDataset(BaseSegDataset):
    """Images of COCO that show VOC's classes, labeled as VOC labels them.

    The masks are drawn from COCO's instances when an image is loaded, by
    :class:`.LoadSegMapFromInstances`. Images with little to learn from are
    left out. These are the rules of torchvision's reference training
    (``references/segmentation/coco_utils.py``), which leave about 92,500
    images of train2017.

    Args:
        ann_file: COCO's ``instances_*.json``.
        data_prefix: ``img_path`` is the folder of the images.
        min_pixels: Least area of all objects of VOC's classes together, in
            pixels.
        **kwargs: As for mmseg's ``BaseSegDataset``.
    """

    METAINFO = PascalVOCDataset.METAINFO

    def __init__(self, *, min_pixels: int = 1000, **kwargs: Any) -> None:
        self.min_pixels = min_pixels
        super().__init__(reduce_zero_label=False, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images, each with its instances of VOC's classes.

        Returns:
            Dicts with ``img_path``, ``instances`` (``label`` and run-length
            encoded ``mask``) and the keys of ``BaseSegDataset``.
        """
        content = json.loads(Path(self.ann_file).read_text('utf-8-sig'))
        labels = self._labels(content['categories'])
        found = defaultdict(list)
        for item in content['annotations']:
            if item['category_id'] in labels and item.get('segmentation'):
                found[item['image_id']].append(item)
        entries = []
        for image in content['images']:
            items = found[image['id']]
            size = image['height'], image['width']
            instances = [
                dict(
                    label=labels[item['category_id']],
                    mask=encode_segmentation(item['segmentation'], *size),
                )
                for item in items
            ]
            area = sum(
                item.get('area', masks.area(instance['mask']))
                for item, instance in zip(items, instances)
            )
            if instances and area >= self.min_pixels:
                entries.append(self._entry(image, instances))
        return entries

    def _labels(self, categories: list[dict[str, Any]]) -> dict[int, int]:
        """Map the ids of COCO's categories to VOC's labels."""
        wanted = {
            COCO_NAMES.get(name, name): label
            for label, name in enumerate(self.METAINFO['classes'])
            if label  # 0 is the background
        }
        return {
            category['id']: wanted[category['name']]
            for category in categories
            if category['name'] in wanted
        }

    def _entry(
        self, image: dict[str, Any], instances: list[dict[str, Any]]
    ) -> dict[str, Any]:
        folder = Path(self.data_prefix['img_path'])
        return dict(
            img_path=str(folder / image['file_name']),
            instances=instances,
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )


def encode_segmentation(
    segmentation: list | dict[str, Any], height: int, width: int
) -> dict[str, Any]:
    """Run-length encode a mask of COCO.

    Args:
        segmentation: Polygons, or run lengths, compressed or not.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Compressed run lengths, as pycocotools takes them.
    """
    if isinstance(segmentation, list):
        return masks.merge(masks.frPyObjects(segmentation, height, width))
    if isinstance(segmentation['counts'], list):
        return masks.frPyObjects(segmentation, height, width)
    return segmentation
