"""A region proposal head with norms."""

from typing import Any

from mmcv.cnn import ConvModule
from mmdet.models.dense_heads import RPNHead
from torch import nn

from lvt_dense.registry import MODELS


@MODELS.register_module()
class NormRPNHead(RPNHead):
    """MMDetection's RPN head, whose 3x3 convolutions have norms.

    MMDetection's head takes ``num_convs``, but no norm; ml-cvnets trains its
    Mask R-CNN with two convolutions that have one each.

    Args:
        norm_cfg: Norm after every 3x3 convolution.
        **kwargs: Arguments of MMDetection's ``RPNHead``.
    """

    def __init__(
        self, *args: Any, norm_cfg: dict = dict(type='BN'), **kwargs: Any
    ) -> None:
        self.norm_cfg = norm_cfg
        super().__init__(*args, **kwargs)

    def _init_layers(self) -> None:
        super()._init_layers()
        self.rpn_conv = nn.Sequential(
            *(
                ConvModule(
                    self.feat_channels if index else self.in_channels,
                    self.feat_channels,
                    3,
                    padding=1,
                    norm_cfg=self.norm_cfg,
                )
                for index in range(self.num_convs)
            )
        )
