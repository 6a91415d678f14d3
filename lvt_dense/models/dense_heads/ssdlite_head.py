"""SSDLite heads: MMDetection's kind, and that of the MobileViT paper."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from mmdet.models.dense_heads import PISASSDHead as MMDetPISASSDHead
from mmdet.models.dense_heads import SSDHead
from mmdet.models.losses import smooth_l1_loss
from mmengine.structures import InstanceData
from torch import Tensor, nn

from lvt_dense.models.layers import ConvNormAct
from lvt_dense.registry import MODELS

from .anchors import RelativeAnchorGenerator  # noqa: F401  (registers it)
from .batched_targets import (
    AnchorTargets,
    BatchedTargets,
    compute_targets,
    supports,
)


@MODELS.register_module()
class SSDLiteHead(BatchedTargets, SSDHead):
    """MMDetection's SSD head, able to predict, with losses batch by batch.

    The inference code of MMDetection's dense heads reads ``loss_cls``, which
    its SSD head lacks: it trains, and fails at the first validation. Its
    losses are computed image by image, with hundreds of small operators and
    a dozen waits for the GPU each; here they are computed at once, and are
    the same.
    """

    loss_cls = None

    def get_anchors(
        self,
        featmap_sizes: list[tuple],
        batch_img_metas: list[dict],
        device: object = 'cuda',
    ) -> tuple[list[list[Tensor]], list[list[Tensor]]]:
        """Return anchors and valid flags, see ``AnchorHead``."""
        self._tell_input_shape(batch_img_metas)
        return super().get_anchors(featmap_sizes, batch_img_metas, device)

    def loss_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        batch_gt_instances: list[InstanceData],
        batch_img_metas: list[dict],
        batch_gt_instances_ignore: list[InstanceData] | None = None,
    ) -> dict[str, Any]:
        """Compute the losses of a batch (SSD, Section 2.2).

        Args:
            cls_scores: Class logits of every level,
                (N, A_k * (num_classes + 1), H_k, W_k).
            bbox_preds: Deltas of every level, (N, A_k * 4, H_k, W_k).
            batch_gt_instances: ``bboxes`` and ``labels`` of every image.
            batch_img_metas: Shapes of every image.
            batch_gt_instances_ignore: ``bboxes`` to ignore of every image.

        Returns:
            ``loss_cls`` and ``loss_bbox``, each a list of one loss of the
            whole batch; MMDetection's has one an image.
        """
        if not supports(self):
            return super().loss_by_feat(
                cls_scores,
                bbox_preds,
                batch_gt_instances,
                batch_img_metas,
                batch_gt_instances_ignore,
            )
        self._tell_input_shape(batch_img_metas)
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
        total = targets.num_positive + torch.finfo(torch.float32).eps
        losses = self._class_losses(cls_scores, targets.labels)
        losses = losses * targets.label_weights
        mined = mine_negatives(
            losses.detach(),
            targets.labels == self.num_classes,
            self.train_cfg['neg_pos_ratio'] * targets.is_positive.sum(1),
        )
        counts = mined | targets.is_positive
        return dict(
            loss_cls=[torch.where(counts, losses, 0).sum() / total],
            loss_bbox=[self._box_loss(bbox_preds, anchors, targets, total)],
        )

    def _class_losses(
        self, cls_scores: Sequence[Tensor], labels: Tensor
    ) -> Tensor:
        """Compute the cross entropy of every anchor, (N, P).

        Each level keeps its layout: moving the classes to the end would copy
        the largest tensors of the step, forward and backward.
        """
        levels, start = [], 0
        for score, num in zip(cls_scores, self.num_base_priors):
            cells = score.shape[-2:].numel()
            stop = start + num * cells
            label = labels[:, start:stop].unflatten(1, (cells, num))
            logits = score.flatten(2).unflatten(1, (num, -1))
            log_p = logits.log_softmax(2, dtype=torch.float32)
            picked = log_p.gather(2, label.transpose(1, 2).unsqueeze(2))
            levels.append(-picked.squeeze(2).transpose(1, 2).flatten(1))
            start = stop
        return torch.cat(levels, 1)

    def _box_loss(
        self,
        bbox_preds: Sequence[Tensor],
        anchors: Tensor,
        targets: AnchorTargets,
        total: Tensor,
    ) -> Tensor:
        preds = torch.cat(
            [p.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, 4))
             for p in bbox_preds], 1
        )  # fmt: skip
        if self.reg_decoded_bbox:
            repeated = anchors.expand_as(preds).reshape(-1, 4)
            decoded = self.bbox_coder.decode(repeated, preds.view(-1, 4))
            preds = decoded.view_as(preds)
        losses = smooth_l1_loss(
            preds,
            targets.boxes,
            targets.is_positive[..., None].to(preds.dtype),
            beta=self.train_cfg['smoothl1_beta'],
            reduction='sum',
        )
        return losses / total

    def predict_by_feat(
        self,
        cls_scores: list[Tensor],
        bbox_preds: list[Tensor],
        *args: Any,
        batch_img_metas: list[dict] | None = None,
        **kwargs: Any,
    ) -> list:
        """Return the boxes of every image, see ``BaseDenseHead``."""
        self._tell_input_shape(batch_img_metas)
        return super().predict_by_feat(
            cls_scores,
            bbox_preds,
            *args,
            batch_img_metas=batch_img_metas,
            **kwargs,
        )

    def _tell_input_shape(self, batch_img_metas: list[dict] | None) -> None:
        if batch_img_metas and hasattr(self.prior_generator, 'input_shape'):
            shape = batch_img_metas[0]['batch_input_shape']
            self.prior_generator.input_shape = tuple(shape)


def mine_negatives(
    losses: Tensor, is_negative: Tensor, num_wanted: Tensor
) -> Tensor:
    """Pick the negatives of the highest loss in every image, by one sort.

    Args:
        losses: (N, P).
        is_negative: (N, P) bool.
        num_wanted: (N,) negatives at most in every image.

    Returns:
        (N, P) bool.
    """
    candidates = losses.masked_fill(~is_negative, -math.inf)
    order = candidates.argsort(1, descending=True)
    rank = torch.arange(losses.shape[1], device=losses.device)
    is_first = (rank < num_wanted[:, None]).expand_as(order)
    mined = torch.zeros_like(is_negative).scatter(1, order, is_first)
    return mined & is_negative


@MODELS.register_module()
class PISASSDHead(MMDetPISASSDHead):
    """MMDetection's SSD head of PISA, able to predict."""

    loss_cls = None


class SeparablePredictor(nn.Module):
    """3x3 depthwise convolution with norm, then a 1x1 one with bias."""

    def __init__(self, given: int, out: int, norm_cfg: dict) -> None:
        super().__init__()
        self.depthwise = ConvNormAct(
            given, given, 3, groups=given, norm_cfg=norm_cfg
        )
        self.pointwise = nn.Conv2d(given, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C', H, W)."""
        return self.pointwise(self.depthwise(x))


@MODELS.register_module()
class MobileViTSSDHead(SSDLiteHead):
    """SSDLite head of the MobileViT paper (Appendix C; ml-cvnets v0.1).

    Every level is projected by a 1x1 convolution where its width has to
    change; one separable convolution then predicts boxes and classes
    together. The last level, one cell, has a plain 1x1 convolution. An anchor
    has four box values, then a score for every class and the background;
    the background is last here, as in MMDetection, and first in the official
    files.

    Args:
        proj_channels: Width of every level before the prediction.
        **kwargs: Arguments of MMDetection's ``SSDHead``.

    Attributes:
        rows_before_classes: Values of an anchor before its scores.
    """

    rows_before_classes = 4

    def __init__(
        self,
        *args: Any,
        proj_channels: Sequence[int] = (512, 256, 256, 128, 128, 64),
        norm_cfg: dict = dict(type='BN'),
        **kwargs: Any,
    ) -> None:
        self.proj_channels = tuple(proj_channels)
        super().__init__(*args, norm_cfg=norm_cfg, **kwargs)

    def _init_layers(self) -> None:
        self.projections = nn.ModuleList()
        self.predictors = nn.ModuleList()
        widths = zip(self.in_channels, self.proj_channels)
        last = len(self.in_channels) - 1
        for level, (given, width) in enumerate(widths):
            out = self.num_base_priors[level] * (4 + self.cls_out_channels)
            if level == last:
                self.projections.append(nn.Identity())
                self.predictors.append(nn.Conv2d(given, out, 1))
                continue
            self.projections.append(
                nn.Identity()
                if given == width
                else ConvNormAct(
                    given,
                    width,
                    1,
                    norm_cfg=self.norm_cfg,
                    act_cfg=dict(type='ReLU'),
                )
            )
            self.predictors.append(
                SeparablePredictor(width, out, self.norm_cfg)
            )

    def forward(
        self, x: tuple[Tensor, ...]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """Predict.

        Args:
            x: One map a level, (N, C_k, H_k, W_k).

        Returns:
            Class logits, (N, A_k * (num_classes + 1), H_k, W_k), and box
            deltas, (N, A_k * 4, H_k, W_k), of every level.
        """
        cls_scores, bbox_preds = [], []
        layers = zip(x, self.projections, self.predictors)
        for feature, project, predict in layers:
            out = predict(project(feature))
            out = out.unflatten(1, (-1, 4 + self.cls_out_channels))
            bbox_preds.append(out[:, :, :4].flatten(1, 2))
            cls_scores.append(out[:, :, 4:].flatten(1, 2))
        return cls_scores, bbox_preds
