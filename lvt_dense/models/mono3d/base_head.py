"""What the monocular 3D heads have in common toward a detector."""

from abc import ABCMeta, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.structures import SampleList
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import Tensor, nn

from lvt_dense.structures import centers_inside, select_objects
from lvt_dense.utils.errors import UserError


def last_layer(branch: nn.Module) -> Any:
    """Return the last layer of a sequence of layers."""
    *_, last = branch.children()
    return last


class Mono3DHead(BaseModule, metaclass=ABCMeta):
    """Base of the heads: which objects to learn from, and prediction.

    A subclass turns features into maps in ``forward``, and maps into
    detections in :meth:`predict_by_maps`; its ``loss`` takes features and
    data samples to a dict of losses.

    Args:
        num_classes: Number of classes of objects.
        train_cfg: Limits of the objects to learn from, the arguments of
            :func:`~lvt_dense.structures.select_objects`; pixels are those
            of the network's image. By default all whose 2D box has its
            center inside the image.
        test_cfg: Settings of prediction, see the subclass.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        num_classes: int,
        train_cfg: dict | None,
        test_cfg: dict | None,
        init_cfg: dict | None,
    ) -> None:
        super().__init__(init_cfg)
        self.num_classes = num_classes
        self.train_cfg = train_cfg or {}
        self.test_cfg = test_cfg or {}

    def objects_to_learn(
        self, batch_data_samples: SampleList
    ) -> tuple[list[InstanceData], Tensor, list[dict]]:
        """Select the objects to learn from.

        Returns:
            The objects of every image; which of them, one image after the
            other, are learned from, (M,) bool; and the metainfo.

        Raises:
            UserError: A label is none of the head's classes. On a GPU, where
                looking at it would take a wait, PyTorch raises.
        """
        gts = [sample.gt_instances_3d for sample in batch_data_samples]
        for gt, sample in zip(gts, batch_data_samples):
            self._check_labels(gt.labels_3d, sample)
        bboxes = torch.cat([gt.bboxes for gt in gts])
        keep = select_objects(
            bboxes,
            torch.cat([gt.bboxes_3d for gt in gts]),
            torch.cat([gt.truncated for gt in gts]),
            torch.cat([gt.occluded for gt in gts]),
            **self.train_cfg,
        )
        shapes = [
            sample.img_shape[:2]
            for gt, sample in zip(gts, batch_data_samples)
            for _ in range(len(gt))
        ]
        shape = torch.tensor(shapes, dtype=bboxes.dtype).view(-1, 2)
        height, width = shape.to(bboxes.device, non_blocking=True).unbind(1)
        keep = keep & centers_inside(bboxes, height, width)
        return gts, keep, [sample.metainfo for sample in batch_data_samples]

    def _check_labels(self, labels: Tensor, sample: Any) -> None:
        if labels.device.type != 'cpu':
            torch._assert_async((labels < self.num_classes).all())
            return
        if len(labels) and int(labels.max()) >= self.num_classes:
            raise UserError(
                f'{sample.get("img_path", "an image")} has an object of class '
                f'{int(labels.max())}, counted from 0, but the head has '
                f'num_classes={self.num_classes}; set model.bbox_head.'
                'num_classes to the number of classes of the data set'
            )

    def predict(
        self,
        features: Sequence[Tensor],
        batch_data_samples: SampleList,
        rescale: bool = True,
    ) -> list[InstanceData]:
        """Detect objects, see :meth:`predict_by_maps`."""
        metas = [sample.metainfo for sample in batch_data_samples]
        return self.predict_by_maps(self(features), metas, rescale)

    @abstractmethod
    def predict_by_maps(
        self, maps: Any, metas: Sequence[dict], rescale: bool
    ) -> list[InstanceData]:
        """Decode the maps of a batch.

        Args:
            maps: What ``forward`` returns.
            metas: ``cam2img``, ``img_shape``, ``ori_shape`` and
                ``scale_factor`` of every image.
            rescale: Whether 2D boxes are in the original images' pixels.

        Returns:
            One InstanceData an image, as in :class:`Mono3DDetector`, by
            falling score.
        """
