"""The crop for segmentation is MMSegmentation's, seed by seed."""

import numpy as np
import pytest
from mmseg.datasets.transforms import RandomCrop

from lvt_dense.datasets.transforms.seg_crop import SegRandomCrop


@pytest.mark.parametrize('dtype', [np.uint8, np.uint16, np.int64])
@pytest.mark.parametrize(
    'settings',
    [
        dict(crop_size=(24, 32), cat_max_ratio=0.75),
        dict(crop_size=40, cat_max_ratio=0.6, ignore_index=1),
        dict(crop_size=(24, 32)),
        dict(crop_size=(200, 16), cat_max_ratio=0.5),
    ],
)
def test_crops_are_those_of_mmseg(settings: dict, dtype: type) -> None:
    rng = np.random.default_rng(0)
    seen = set()
    for seed in range(40):
        labels = rng.integers(0, 3, (8, 10))
        labels[labels == 2] = 255
        labels = np.kron(labels, np.ones((10, 10))).astype(dtype)
        found = []
        for kind in (SegRandomCrop, RandomCrop):
            np.random.seed(seed)
            results = dict(
                img=np.zeros((80, 100, 3), np.uint8),
                gt_seg_map=labels,
                seg_fields=['gt_seg_map'],
            )
            found.append(kind(**settings)(results)['gt_seg_map'])
        np.testing.assert_array_equal(*found)
        seen.add(found[0].tobytes())
    assert len(seen) > 3
