"""The loss of MMSegmentation's heads without its two slow steps."""

from typing import Any

import torch
from mmseg.models import decode_heads
from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from torch import Tensor, nn

from lvt_dense.models.layers.resize import enlarge
from lvt_dense.registry import MODELS

ACCURACY_INTERVAL = 10


class QuickLoss(BaseDecodeHead):
    """A decode head that resizes its logits by matrix products.

    Losses and gradients are those of MMSegmentation up to rounding errors.
    The accuracy, which is only logged, is computed at each tenth step, and by
    ``argmax`` instead of a sorting ``topk``. Mixed into a head before its own
    class.
    """

    _steps = 0

    def loss_by_feat(
        self, seg_logits: Tensor, batch_data_samples: list[Any]
    ) -> dict[str, Tensor]:
        """Compute the losses.

        Args:
            seg_logits: (N, num_classes, h, w).
            batch_data_samples: Their ``gt_sem_seg`` holds labels (1, H, W).

        Returns:
            The losses by their names, and ``acc_seg`` in percent at each
            tenth step.
        """
        labels = self._stack_batch_gt(batch_data_samples)
        size = labels.shape[2], labels.shape[3]
        logits = enlarge(seg_logits, size, self.align_corners)
        weight = None
        if self.sampler is not None:
            weight = self.sampler.sample(logits, labels)
        labels = labels.squeeze(1)
        losses: dict[str, Tensor] = {}
        several = isinstance(self.loss_decode, nn.ModuleList)
        for criterion in self.loss_decode if several else [self.loss_decode]:
            loss = criterion(
                logits, labels, weight=weight, ignore_index=self.ignore_index
            )
            name = criterion.loss_name
            losses[name] = losses[name] + loss if name in losses else loss
        if self._steps % ACCURACY_INTERVAL == 0:
            losses['acc_seg'] = _accuracy(logits, labels, self.ignore_index)
        self._steps += 1
        return losses


@torch.no_grad()
def _accuracy(logits: Tensor, labels: Tensor, ignored: int) -> Tensor:
    """Return the share of pixels whose largest logit is right, in percent."""
    counts = labels != ignored
    right = (logits.argmax(dim=1) == labels) & counts
    return 100 * right.sum() / counts.sum().clamp(min=1)


def _register_heads() -> None:
    """Register each head of MMSegmentation that has the common loss.

    They keep their names: ``lvt_dense.UPerHead`` is MMSegmentation's
    ``UPerHead`` with the loss above.
    """
    for name in sorted(set(decode_heads.__all__)):
        head = getattr(decode_heads, name)
        if getattr(head, 'loss_by_feat', None) is BaseDecodeHead.loss_by_feat:
            quick = type(
                name,
                (QuickLoss, head),
                dict(__doc__=head.__doc__, __module__=__name__),
            )
            MODELS.register_module(module=quick)


_register_heads()
