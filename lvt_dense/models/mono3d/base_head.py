"""What the monocular 3D heads have in common towards a detector."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any

from mmdet.structures import SampleList
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor

from .instances import select_objects


class Mono3DHead(BaseModule, metaclass=ABCMeta):
    """Base of the heads: which objects to learn from, and prediction.

    A subclass turns features into maps in ``forward``, and maps into
    detections in :meth:`predict_by_maps`; its ``loss`` takes features and
    data samples to a dict of losses.

    Args:
        train_cfg: which objects to learn from, the arguments of
            :func:`~lvt_dense.models.mono3d.instances.select_objects`.
        test_cfg: of the subclass.
    """

    def __init__(
        self,
        train_cfg: dict | None,
        test_cfg: dict | None,
        init_cfg: dict | None,
    ) -> None:
        super().__init__(init_cfg)
        self.train_cfg = train_cfg or {}
        self.test_cfg = test_cfg or {}

    def objects_to_learn(
        self, batch_data_samples: SampleList
    ) -> tuple[list[InstanceData], list[dict]]:
        """The selected objects of every image, and the images' metainfo."""
        gts = []
        for sample in batch_data_samples:
            gt = sample.gt_instances_3d
            keep = select_objects(gt, sample.img_shape, **self.train_cfg)
            gts.append(gt[keep])
        return gts, [sample.metainfo for sample in batch_data_samples]

    def predict(
        self,
        features: Sequence[Tensor],
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> list[InstanceData]:
        """Detects objects, see :meth:`predict_by_maps`."""
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_maps(self(features), metas, rescale)

    @abstractmethod
    def predict_by_maps(
        self, maps: Any, metas: Sequence[dict], rescale: bool
    ) -> list[InstanceData]:
        """Decodes the maps of a batch.

        Args:
            maps: what ``forward`` returns.
            metas: ``cam2img``, ``img_shape`` and ``scale_factor`` of every
                image.
            rescale: give the 2D boxes in the original images' pixels.

        Returns:
            One InstanceData an image, as in :class:`Mono3DDetector`, by
            falling score.
        """
