"""CamVid's data set class on rendered and on the real images."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lvt_dense.datasets.camvid import CamVidDataset
from lvt_dense.datasets.transforms import (
    LoadImageFromFile,
    LoadSegAnnotations,
)
from lvt_dense.scenes import write_semantic

PIPELINE = [LoadImageFromFile(), LoadSegAnnotations(num_classes=11)]


def camvid(root: Path, split: str, **kwargs: Any) -> CamVidDataset:
    return CamVidDataset(
        data_root=str(root),
        data_prefix=dict(
            img_path=f'images/{split}/', seg_map_path=f'labels/{split}/'
        ),
        pipeline=PIPELINE,
        **kwargs,
    )


def test_classes_and_colors() -> None:
    info = CamVidDataset.METAINFO
    assert len(info['classes']) == len(set(info['classes'])) == 11
    assert len({tuple(color) for color in info['palette']}) == 11


def test_rendered_images_and_masks_belong_together(tmp_path: Path) -> None:
    root = write_semantic(tmp_path / 'camvid', 'camvid', 4, size=(160, 120))
    dataset = camvid(root, 'train')
    assert len(dataset) == 3
    for sample in dataset:
        assert sample['img'].shape == (120, 160, 3)
        # A rendered scene has the sky (0) over the road (3).
        mask = sample['gt_seg_map']
        rows = {label: np.nonzero(mask == label)[0] for label in (0, 3)}
        assert rows[0].mean() < rows[3].mean()


def test_fewer_classes_are_renumbered(tmp_path: Path) -> None:
    root = write_semantic(tmp_path / 'camvid', 'camvid', 2, size=(160, 120))
    every = camvid(root, 'train')[0]['gt_seg_map']
    dataset = camvid(root, 'train', metainfo=dict(classes=('road', 'sky')))
    few = dataset[0]['gt_seg_map']
    np.testing.assert_array_equal(few == 0, every == 3)
    np.testing.assert_array_equal(few == 1, every == 0)
    np.testing.assert_array_equal(few == 255, (every != 0) & (every != 3))
    assert dataset.metainfo['palette'] == [[128, 64, 128], [128, 128, 128]]


def test_real_splits(real_data: Path) -> None:
    root = real_data / 'camvid'
    sizes = {split: len(camvid(root, split)) for split in SPLITS}
    assert sizes == SPLITS
    sample = camvid(root, 'val')[0]
    assert sample['gt_seg_map'].shape == sample['img'].shape[:2] == (360, 480)
    upper = sample['gt_seg_map'][:180], sample['img'][:180]
    lower = sample['gt_seg_map'][180:]
    assert (upper[0] == 0).sum() > (lower == 0).sum()  # the sky is above
    assert upper[1][upper[0] == 0].mean() > sample['img'].mean()  # and bright


SPLITS = dict(train=367, val=101, test=233)


def test_segnets_copy_with_png_images_and_label_11(tmp_path: Path) -> None:
    labels = np.full((60, 80), 3, np.uint8)
    labels[:5] = 11
    labels[5:9] = 255
    labels[9:20] = 10
    for kind, content in (('images', labels * 9), ('labels', labels)):
        folder = tmp_path / kind / 'train'
        folder.mkdir(parents=True)
        Image.fromarray(content).save(folder / '0001TP_006690.png')
    dataset = camvid(tmp_path, 'train')
    assert len(dataset) == 1
    mask = dataset[0]['gt_seg_map']
    np.testing.assert_array_equal(mask, np.where(labels == 11, 255, labels))
