"""Cross entropy with class weights, where pixels are ignored."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.registry import MODELS
from lvt_dense.utils.errors import UserError


@MODELS.register_module()
class WeightedCrossEntropy(nn.Module):
    """PyTorch's weighted cross entropy, averaged over the weights.

    MMSegmentation's own loss looks up the weight of the ignored label too,
    and fails, in version 1.2 always and later with ``avg_non_ignore``.

    Args:
        class_weight: Weight of every class.
        loss_weight: Weight of the loss.
        loss_name: Name under which the loss is logged.
    """

    def __init__(
        self,
        class_weight: Sequence[float],
        loss_weight: float = 1.0,
        loss_name: str = 'loss_ce',
    ) -> None:
        super().__init__()
        self.class_weight: Tensor
        weight = torch.tensor(list(class_weight))
        self.register_buffer('class_weight', weight, persistent=False)
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self,
        logits: Tensor,
        labels: Tensor,
        weight: Tensor | None = None,
        ignore_index: int = 255,
        reduction_override: str | None = None,
    ) -> Tensor:
        """Compute the loss.

        Args:
            logits: (N, C, H, W).
            labels: (N, H, W), classes or ``ignore_index``.
            weight: Weight of every pixel, (N, H, W), None for one.
            ignore_index: Label of the pixels that do not count.
            reduction_override: ``'none'`` for the loss of every pixel, as
                MMSegmentation's samplers of hard pixels (OHEM) ask.

        Returns:
            Scalar, 0 where no pixel counts; or (N, H, W).

        Raises:
            UserError: There is not one weight a class.
        """
        if logits.shape[1] != len(self.class_weight):
            raise UserError(
                f'class_weight of WeightedCrossEntropy has '
                f'{len(self.class_weight)} numbers, but the head '
                f'{logits.shape[1]} classes: give one weight a class'
            )
        losses = F.cross_entropy(
            logits,
            labels,
            self.class_weight.to(logits.dtype),
            ignore_index=ignore_index,
            reduction='none',
        )
        if weight is not None:
            losses = losses * weight
        if reduction_override == 'none':
            return self.loss_weight * losses
        counts = labels != ignore_index
        total = self.class_weight[labels[counts]].sum()
        return self.loss_weight * losses.sum() / total.clamp(min=1e-6)
