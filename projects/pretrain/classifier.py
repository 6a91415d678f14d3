"""A backbone as a classifier of images, for pretraining."""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement
from torch import Tensor, nn

from lvt_dense.models.backbones import PyramidBackbone
from lvt_dense.registry import MODELS
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError

from .distillation import Distillation


@MODELS.register_module()
class ImageClassifier(BaseModel):
    """The last level of a backbone, its mean, and a linear layer.

    Args:
        backbone: Config of a backbone of ours.
        num_classes: Number of classes, at least 2.
        hidden_channels: Channels of a 1x1 convolution with batch norm and
            SiLU before the mean, as MobileViT has it; None for none.
        dropout: Probability that a feature is dropped, in [0, 1).
        label_smoothing: Share of the target that is spread over all classes,
            in [0, 1).
        mixup: Parameter of the beta distribution from which the share of one
            image of a mixed pair is drawn; 0 mixes none.
        distillation: Arguments of :class:`Distillation`; None for none.
        data_preprocessor: By default MMEngine's ``ImgDataPreprocessor`` with
            the normalization that the backbone's recipes use.
        init_cfg: Initialization as in MMEngine.

    Raises:
        UserError: The backbone is not one of ours, or a number is out of
            range.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        num_classes: int,
        hidden_channels: int | None = None,
        dropout: float = 0.0,
        label_smoothing: float = 0.0,
        mixup: float = 0.0,
        distillation: dict[str, Any] | None = None,
        data_preprocessor: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        _check(num_classes, dropout, label_smoothing, mixup)
        kind = find_class(MODELS, backbone)
        if not issubclass(kind, PyramidBackbone):
            raise UserError(
                f'model.backbone.type={backbone.get("type")!r} is not a '
                'backbone of lvt_dense; lvt_dense.list_backbones() names them'
            )
        norm = data_preprocessor or dict(
            type='ImgDataPreprocessor', **kind.input_norm
        )
        super().__init__(norm, init_cfg)
        self.backbone = MODELS.build(backbone)
        channels = self.backbone.out_channels[-1]
        self.expansion = nn.Identity()
        if hidden_channels:
            self.expansion = ConvModule(
                channels,
                hidden_channels,
                1,
                norm_cfg=dict(type='BN'),
                act_cfg=dict(type='Swish'),
            )
            channels = hidden_channels
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(channels, num_classes)
        self.num_classes = num_classes
        self.label_smoothing = label_smoothing
        self.mixup = mixup
        self.distillation = None
        if distillation:
            self.distillation = Distillation(
                **distillation,
                channels=channels,
                num_classes=num_classes,
                norm=norm,
            )

    def init_weights(self) -> None:
        """Initialize the student, and load the teacher."""
        super().init_weights()
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)
        if self.distillation:
            self.distillation.load_teacher()

    def extract(self, images: Tensor) -> Tensor:
        """Compute the features of images.

        Args:
            images: Normalized images, (N, 3, H, W).

        Returns:
            Means of the last level, (N, C).
        """
        return self.expansion(self.backbone(images)[-1]).mean((2, 3))

    def forward(
        self,
        inputs: Tensor,
        data_samples: Sequence[BaseDataElement] | None = None,
        mode: str = 'tensor',
    ) -> Tensor | dict[str, Tensor] | list[BaseDataElement]:
        """Classify images, or compute the losses.

        Args:
            inputs: Normalized images, (N, 3, H, W).
            data_samples: One an image, with ``gt_label`` in training.
            mode: ``tensor``, ``predict`` or ``loss``.

        Returns:
            Logits (N, num_classes); the samples, with ``pred_scores``
            (num_classes,) and ``pred_label``; or the losses by name.
        """
        if mode == 'loss':
            assert data_samples is not None
            return self._losses(inputs, data_samples)
        logits = self.head(self.extract(inputs))
        if mode == 'tensor':
            return logits
        samples = data_samples or [BaseDataElement() for _ in inputs]
        for sample, scores in zip(samples, logits.softmax(1)):
            sample.pred_scores = scores
            sample.pred_label = int(scores.argmax())
        return list(samples)

    def _losses(
        self, images: Tensor, samples: Sequence[BaseDataElement]
    ) -> dict[str, Tensor]:
        labels = torch.tensor(
            [sample.gt_label for sample in samples], device=images.device
        )
        targets = F.one_hot(labels, self.num_classes).to(images.dtype)
        if self.mixup:
            images, targets = mix_pairs(images, targets, self.mixup)
        features = self.extract(images)
        logits = self.head(self.dropout(features))
        loss = F.cross_entropy(
            logits, targets, label_smoothing=self.label_smoothing
        )
        losses = dict(loss_class=loss)
        if self.distillation:
            losses['loss_distillation'] = self.distillation(
                images, features, logits
            )
        return losses


def mix_pairs(
    images: Tensor, targets: Tensor, alpha: float
) -> tuple[Tensor, Tensor]:
    """Mix every image with another of the batch, and their targets alike.

    Source: H. Zhang et al., "mixup: Beyond Empirical Risk Minimization",
    ICLR 2018.

    Args:
        images: (N, C, H, W).
        targets: Shares of the classes, (N, num_classes).
        alpha: Parameter of the beta distribution of the shares, above 0.

    Returns:
        Mixed images and targets, of the same shapes.
    """
    share = float(torch.distributions.Beta(alpha, alpha).sample())
    other = torch.randperm(len(images), device=images.device)
    return (
        torch.lerp(images[other], images, share),
        torch.lerp(targets[other], targets, share),
    )


def _check(
    num_classes: int, dropout: float, label_smoothing: float, mixup: float
) -> None:
    if num_classes < 2:
        raise UserError(f'model.num_classes={num_classes}: must be at least 2')
    for name, value in (
        ('dropout', dropout),
        ('label_smoothing', label_smoothing),
    ):
        if not 0 <= value < 1:
            raise UserError(
                f'model.{name}={value}: give a number from 0 to below 1'
            )
    if mixup < 0:
        raise UserError(
            f'model.mixup={mixup}: give a number above 0, such as 0.2, or 0 '
            'for none'
        )
