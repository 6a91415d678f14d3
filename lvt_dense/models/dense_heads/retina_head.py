"""RetinaNet's head with targets of a batch at once."""

from typing import Any

import torch
from mmdet.models.dense_heads import RetinaHead as MMDetRetinaHead
from mmdet.models.losses import L1Loss, SmoothL1Loss
from mmengine.structures import InstanceData
from torch import Tensor

from lvt_dense.registry import MODELS

from .batched_targets import BatchedTargets, compute_targets, supports


@MODELS.register_module()
class RetinaHead(BatchedTargets, MMDetRetinaHead):
    """MMDetection's RetinaNet head, whose targets take no wait for the GPU.

    Anchors of all images are assigned at once; the losses of a level are
    computed as in MMDetection, and are the same.
    """

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Any]:
        """Compute the losses of a batch.

        Args:
            cls_scores: Class logits of every level, (N, A * C, H_k, W_k).
            bbox_preds: Deltas of every level, (N, A * 4, H_k, W_k).
            batch_gt_instances: ``bboxes`` and ``labels`` of every image.
            batch_img_metas: Shapes of every image.
            batch_gt_instances_ignore: ``bboxes`` to ignore of every image.

        Returns:
            ``loss_cls`` and ``loss_bbox``, a list of one for every level.
        """
        if not self._has_known_losses():
            return super().loss_by_feat(
                cls_scores,
                bbox_preds,
                batch_gt_instances,
                batch_img_metas,
                batch_gt_instances_ignore,
            )
        sizes = [tuple(score.shape[-2:]) for score in cls_scores]
        anchors, is_valid = self.list_anchors(
            sizes, batch_img_metas, cls_scores[0].device
        )
        targets = compute_targets(
            self,
            anchors,
            is_valid,
            batch_gt_instances,
            batch_gt_instances_ignore,
        )
        counts = [h * w * self.num_base_priors for h, w in sizes]
        columns = (
            targets.labels,
            targets.label_weights,
            targets.boxes,
            targets.is_positive,
        )
        levels: Any = zip(
            cls_scores, bbox_preds, *(c.split(counts, 1) for c in columns)
        )
        losses = [
            self._level_losses(targets.num_positive, *level)
            for level in levels
        ]
        return dict(
            loss_cls=[cls for cls, _ in losses],
            loss_bbox=[bbox for _, bbox in losses],
        )

    def _has_known_losses(self) -> bool:
        """Whether the losses of a batch are those of its images."""
        known = (L1Loss, SmoothL1Loss)
        is_plain = not self.reg_decoded_bbox and type(self.loss_bbox) in known
        return is_plain and supports(self)

    def _level_losses(
        self,
        total: Tensor,
        cls_score: Tensor,
        bbox_pred: Tensor,
        labels: Tensor,
        weights: Tensor,
        boxes: Tensor,
        is_positive: Tensor,
    ) -> tuple[Tensor, Tensor]:
        scores = cls_score.permute(0, 2, 3, 1)
        loss_cls = self.loss_cls(
            scores.reshape(-1, self.cls_out_channels),
            labels.reshape(-1),
            weights.reshape(-1),
            avg_factor=total,
        )
        preds = bbox_pred.permute(0, 2, 3, 1).reshape(-1, 4)
        targets = boxes.reshape(-1, 4)
        # What is no positive equals its target and has no loss. With weights
        # of 0, MMDetection would look whether there is any positive, and wait.
        is_positive = is_positive.reshape(-1, 1)
        preds = torch.where(is_positive, preds, targets.to(preds.dtype))
        return loss_cls, self.loss_bbox(preds, targets, avg_factor=total)
