"""CamVid: 701 road scenes of 480 x 360 pixels with eleven classes."""

from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from lvt_dense.registry import DATASETS

# What does not count, in SegNet's copies.
_VOID = 11


@DATASETS.register_module()
class CamVidDataset(BaseSegDataset):
    """The Cambridge-driving Labeled Video Database in its 11-class form.

    Images are ``.jpg`` or ``.png``, masks single-channel ``.png`` of the same
    size with the labels 0 to 10, and 255 or 11 where nothing counts. The
    usual split, images and classes are those of SegNet (V. Badrinarayanan et
    al., 2015, arXiv 1511.00561); the recordings are of G. Brostow et al.,
    "Semantic object classes in video", 2009.

    Args:
        **kwargs: As for mmseg's ``BaseSegDataset``.
    """

    METAINFO = dict(
        classes=(
            'sky',
            'building',
            'pole',
            'road',
            'pavement',
            'tree',
            'sign',
            'fence',
            'car',
            'pedestrian',
            'bicyclist',
        ),
        palette=[
            [128, 128, 128],
            [128, 0, 0],
            [192, 192, 128],
            [128, 64, 128],
            [60, 40, 222],
            [128, 128, 0],
            [192, 128, 128],
            [64, 64, 128],
            [64, 0, 128],
            [64, 64, 0],
            [0, 128, 192],
        ],
    )

    def __init__(self, **kwargs: Any) -> None:
        self.img_suffix: str = kwargs.pop('img_suffix', '.jpg')
        super().__init__(
            img_suffix=self.img_suffix,
            seg_map_suffix='.png',
            reduce_zero_label=False,
            **kwargs,
        )

    def load_data_list(self) -> list[dict]:
        """Find images and masks, in either form of the data set."""
        folder = Path(self.data_prefix.get('img_path') or '')
        if folder.is_dir() and not any(folder.rglob(f'*{self.img_suffix}')):
            # the copies that SegNet's authors made
            self.img_suffix = '.png'
        infos = super().load_data_list()
        labels = self.label_map or {
            i: i for i in range(len(self.METAINFO['classes']))
        }
        for info in infos:
            info['label_map'] = {**labels, _VOID: 255}
        return infos
