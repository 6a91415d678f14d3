"""SSDLite heads: MMDetection's kind, and that of the MobileViT paper."""

from collections.abc import Sequence
from typing import Any

from mmdet.models.dense_heads import PISASSDHead as MMDetPISASSDHead
from mmdet.models.dense_heads import SSDHead
from torch import Tensor, nn

from lvt_dense.models.layers import ConvNormAct
from lvt_dense.registry import MODELS

from . import anchors  # noqa: F401  (registers the anchor generator)


@MODELS.register_module()
class SSDLiteHead(SSDHead):
    """MMDetection's SSD head, able to predict.

    The inference code of MMDetection's dense heads reads ``loss_cls``, which
    its SSD head lacks: it trains, and fails at the first validation.
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
    """

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
