"""Learn from a network that is trained already."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvt_dense.checkpoints.read import read_checkpoint
from lvt_dense.engine.distillation.losses import softmax_divergence
from lvt_dense.engine.distillation.normalization import (
    ImageNorm,
    renormalize,
)
from lvt_dense.models.backbones.pretrained import LoadReport
from lvt_dense.registry import MODELS
from lvt_dense.utils.errors import UserError

MATCHES = ('logits', 'features')


class Distillation(nn.Module):
    """The loss between a student and its teacher.

    The teacher sees the images that the student sees, mixed ones too, in its
    own normalization. Its tensors are no part of the student's checkpoint.

    With ``match='logits'`` the teacher is a classifier of the same classes,
    and the loss is the Kullback-Leibler divergence of the class
    probabilities (G. Hinton et al., "Distilling the Knowledge in a Neural
    Network", 2015). With ``match='features'`` the checkpoint may be of
    anything that has a backbone of ours: a detector, a segmenter, published
    weights. The student's features are mapped to the teacher's by a linear
    layer, and the loss is one minus the cosine between them.

    Args:
        backbone: Config of the teacher's backbone.
        checkpoint: Its file, URL or name.
        channels: Channels of the student's features.
        num_classes: Number of classes.
        norm: ``mean``, ``std`` and ``bgr_to_rgb`` of the student's images.
        match: ``logits`` or ``features``.
        weight: Weight of the loss, above 0.
        temperature: Of the class probabilities, above 0.
        hidden_channels: As of the teacher's classifier.

    Raises:
        UserError: An argument is not one of those there are.
    """

    def __init__(
        self,
        backbone: dict[str, Any],
        checkpoint: str,
        channels: int,
        num_classes: int,
        norm: Mapping[str, Any],
        match: str = 'logits',
        weight: float = 1.0,
        temperature: float = 1.0,
        hidden_channels: int | None = None,
    ) -> None:
        super().__init__()
        if match not in MATCHES:
            raise UserError(
                f'model.distillation.match={match!r}: choose one of '
                f'{", ".join(MATCHES)}'
            )
        if weight <= 0 or temperature <= 0:
            raise UserError(
                f'model.distillation: weight={weight}, '
                f'temperature={temperature}; both are above 0'
            )
        self.checkpoint = checkpoint
        self.num_classes = num_classes
        self.norm = ImageNorm.from_cfg(norm)
        self.match, self.weight = match, weight
        self.temperature = temperature
        self.hidden_channels = hidden_channels
        self._cfg = backbone
        # In a list, so that it is no part of this module's state.
        self._teacher: list[nn.Module] = []
        if match == 'features':
            # On the meta device: only the number of channels is wanted.
            with torch.device('meta'):
                width = MODELS.build(dict(backbone)).out_channels[-1]
            self.projection = nn.Linear(channels, width)

    def load_teacher(self) -> None:
        """Build the teacher and fill it from its checkpoint.

        Raises:
            UserError: The checkpoint cannot be had, or does not fit.
        """
        cfg = dict(self._cfg)
        if self.match == 'features':
            cfg['init_cfg'] = dict(
                type='Pretrained', checkpoint=self.checkpoint
            )
        # By its name, as the module of the classifier imports this one.
        teacher = MODELS.build(
            dict(
                type='lvt_dense.ImageClassifier',
                backbone=cfg,
                num_classes=self.num_classes,
                hidden_channels=self.hidden_channels,
            )
        )
        if self.match == 'features':
            teacher.backbone.init_weights()
        else:
            self._fill(teacher)
        teacher.requires_grad_(False)
        self._teacher = [teacher.eval()]

    def _fill(self, teacher: nn.Module) -> None:
        state = read_checkpoint(self.checkpoint).state
        expected = teacher.state_dict()
        if 'head.weight' not in state:
            raise UserError(
                f'model.distillation: {self.checkpoint} holds no classifier; '
                "with match='features' its backbone alone is the teacher"
            )
        report = LoadReport(str(self.checkpoint), 'the teacher', 'lvt_dense')
        report.compare(state, expected)
        if not report.is_complete:
            raise UserError(f'model.distillation: {report}')
        teacher.load_state_dict({k: state[k] for k in report.loaded})

    def forward(
        self, images: Tensor, features: Tensor, logits: Tensor
    ) -> Tensor:
        """Compute the loss.

        Args:
            images: Images in the student's normalization, (N, 3, H, W).
            features: Those of the student, (N, C).
            logits: Those of the student, (N, num_classes).

        Returns:
            The weighted loss.
        """
        teacher = self._teacher[0].to(images.device)
        with torch.no_grad():
            norm = ImageNorm.from_cfg(teacher.backbone.input_norm)
            theirs = teacher.extract(renormalize(images, self.norm, norm))
            if self.match == 'logits':
                theirs = teacher.head(theirs)
        if self.match == 'features':
            cosine = F.cosine_similarity(self.projection(features), theirs)
            return self.weight * (1 - cosine).mean()
        divergence = softmax_divergence(logits, theirs, self.temperature, 1)
        return self.weight * divergence.mean()
