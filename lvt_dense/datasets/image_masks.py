"""Images and label maps that a list pairs, wherever they are."""

import json
from pathlib import Path
from typing import Any

from mmseg.datasets import BaseSegDataset

from lvt_dense.registry import DATASETS
from lvt_dense.utils.errors import UserError


@DATASETS.register_module()
class ImageMaskDataset(BaseSegDataset):
    """Semantic segmentation of listed pairs of image and label map.

    Folders, names and suffixes are free, as the list says which map belongs
    to which image.

    Args:
        ann_file: JSON list of dicts with ``image`` and ``mask``, paths that
            are absolute or relative to ``data_root``; ``mask`` may be
            missing in a test set.
        metainfo: ``classes``, and ``palette`` with one color a class.
        **kwargs: As for mmseg's ``BaseSegDataset``.
    """

    def __init__(
        self, ann_file: str, metainfo: dict | None = None, **kwargs: Any
    ) -> None:
        kwargs.setdefault('reduce_zero_label', False)
        super().__init__(ann_file=ann_file, metainfo=metainfo, **kwargs)

    def load_data_list(self) -> list[dict]:
        """Read the list.

        Raises:
            UserError: It is missing, broken or empty.
        """
        try:
            pairs = json.loads(Path(self.ann_file).read_text('utf-8'))
            infos = [self._to_info(pair) for pair in pairs]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(
                f'{self.ann_file}: no list of image and mask ({error!r}); '
                'run with --data DIR again, which writes it'
            ) from None
        if not infos:
            raise UserError(f'{self.ann_file}: lists no images')
        return infos

    def _to_info(self, pair: dict) -> dict:
        root = Path(self.data_root or '')
        info = dict(
            img_path=str(root / pair['image']),
            label_map=self.label_map,
            reduce_zero_label=self.reduce_zero_label,
            seg_fields=[],
        )
        if pair.get('mask'):
            info['seg_map_path'] = str(root / pair['mask'])
        return info
