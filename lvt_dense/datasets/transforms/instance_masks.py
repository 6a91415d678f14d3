"""Semantic masks that are drawn from instances."""

from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform
from pycocotools import mask as masks

from lvt_dense.registry import TRANSFORMS
from lvt_dense.utils.errors import UserError

from .seg_loading import IGNORED


@TRANSFORMS.register_module()
class LoadSegMapFromInstances(BaseTransform):
    """Draw a semantic mask from the instances of an image.

    What no instance covers is background, label 0. Pixels of two or more
    instances do not count, as it is not known which one is in front.
    """

    needs_annotations = True

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw ``results['instances']``.

        Args:
            results: Each instance has a ``label`` and a run-length encoded
                ``mask`` of the image's size.

        Returns:
            ``results`` with ``gt_seg_map``, (H, W), uint8, and without the
            instances.

        Raises:
            UserError: The image is not of the size that its annotations have.
        """
        instances = results.pop('instances')
        size = tuple(instances[0]['mask']['size'])
        expected = tuple(results.get('ori_shape', size)[:2])
        if size != expected:
            raise UserError(
                f'image {results.get("img_path")} is {expected[1]} x '
                f'{expected[0]}, but its annotations are for {size[1]} x '
                f'{size[0]} (width x height)'
            )
        label_map = results.get('label_map') or {}
        mask = np.zeros(size, np.uint8)
        covered = np.zeros(size, np.uint16)
        for instance in instances:
            label = instance['label']
            inside = masks.decode(instance['mask']).astype(bool)
            mask[inside] = label_map.get(label, label)
            covered[inside] += 1
        mask[covered > 1] = IGNORED
        results['gt_seg_map'] = mask
        results['seg_fields'].append('gt_seg_map')
        return results
