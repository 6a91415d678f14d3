"""DeepLabv3's head with the projection of its paper.

L.-C. Chen et al., "Rethinking Atrous Convolution for Semantic Image
Segmentation", 2017, arXiv 1706.05587, Section 3.3.
"""

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from lvt_dense.registry import MODELS

from .quick_loss import QuickLoss


@MODELS.register_module()
class AtrousPoolingHead(QuickLoss):
    """Atrous spatial pyramid pooling, projected by a 1x1 convolution.

    MMSegmentation's ``ASPPHead`` projects the branches by a 3x3 convolution
    instead, which costs nine times the parameters; MobileViT's published
    segmenters have the 1x1 one, and dropout before the classifier twice: of
    single values, then (``dropout_ratio``) of channels.

    Args:
        dilations: Rates of the 3x3 branches, for the output stride that the
            backbone has. A 1x1 branch and image pooling are always there.
        **kwargs: As for mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self, dilations: Sequence[int] = (6, 12, 18), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.branches = nn.ModuleList([self._conv(self.in_channels)])
        for rate in dilations:
            self.branches.append(
                self._conv(self.in_channels, 3, padding=rate, dilation=rate)
            )
        self.pool = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), self._conv(self.in_channels)
        )
        self.project = self._conv((len(dilations) + 2) * self.channels)
        self.dropout_values = nn.Dropout(self.dropout_ratio)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Map the levels of the backbone to logits.

        Args:
            inputs: Levels; ``in_index`` picks one, (N, C, H, W).

        Returns:
            Logits, (N, num_classes, H, W).
        """
        x = self._transform_inputs(inputs)
        branches = [branch(x) for branch in self.branches]
        branches.append(self.pool(x).expand_as(branches[0]))
        x = self.dropout_values(self.project(torch.cat(branches, dim=1)))
        return self.cls_seg(x)

    def _conv(self, given: int, kernel: int = 1, **kwargs: int) -> ConvModule:
        return ConvModule(
            given,
            self.channels,
            kernel,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
            **kwargs,
        )
