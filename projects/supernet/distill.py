"""In-place distillation: what heads predict, and how far apart it is.

The heads of MMDetection and MMSegmentation hand their raw outputs to
``loss_by_feat``; so does our classifier's. Outputs are taken there, whatever
the model around the head is.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense.utils.errors import UserError

from .divergence import CLIP, Divergence, alpha_divergence, binary_logits

Outputs = dict[str, tuple]
SMOOTH_L1_BETA = 1.0


class Distance(NamedTuple):
    """How far a sub-network's outputs are from the supernet's.

    Attributes:
        value: The distance, without a gradient.
        loss: What to minimize, see :class:`.divergence.Divergence`.
    """

    value: Tensor
    loss: Tensor


def find_heads(model: nn.Module) -> dict[str, nn.Module]:
    """Find the parts of a model that predict, by name.

    Raises:
        UserError: There is none.
    """
    heads = {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, 'loss_by_feat')
    }
    if not heads:
        raise UserError(
            f'supernet: no head of {type(model).__name__} has loss_by_feat, '
            'where its outputs could be taken'
        )
    return heads


@contextmanager
def taken_outputs(model: nn.Module, with_losses: bool) -> Iterator[Outputs]:
    """Take the outputs of the heads while a model computes its losses.

    Args:
        model: The model.
        with_losses: Whether the heads go on to compute their losses.

    Yields:
        By name of the head, what it handed to ``loss_by_feat``.
    """
    outputs: Outputs = {}
    with ExitStack() as stack:
        for name, head in find_heads(model).items():
            take = _taker(name, head.loss_by_feat, outputs, with_losses)
            head.loss_by_feat = take
            stack.callback(delattr, head, 'loss_by_feat')
        yield outputs


def _taker(
    name: str, compute: Callable, outputs: Outputs, with_losses: bool
) -> Callable:
    def take(*args: Any, **kwargs: Any) -> dict:
        outputs[name] = args
        return compute(*args, **kwargs) if with_losses else {}

    return take


def measure_distance(
    model: nn.Module,
    student: Outputs,
    teacher: Outputs,
    samples: Sequence[Any],
    clip: float = CLIP,
) -> Distance:
    """Compare the outputs of a sub-network with those of the supernet.

    Args:
        model: Either of them, for its heads.
        student: Outputs of the sub-network.
        teacher: Outputs of the supernet.
        samples: Data samples of the batch.
        clip: See :func:`.divergence.alpha_divergence`.

    Returns:
        The sum over the heads.

    Raises:
        UserError: A head is of an unknown kind.
    """
    heads = find_heads(model)
    distances = [
        _head_distance(heads[name], name)(
            heads[name], student[name], teacher[name], samples, clip
        )
        for name in student
    ]
    return Distance(
        sum(d.value for d in distances), sum(d.loss for d in distances)
    )


def _head_distance(head: nn.Module, name: str) -> Callable[..., Distance]:
    from mmdet.models.dense_heads.anchor_head import AnchorHead
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

    from .classification import ClassificationHead

    rules: Mapping[type, Callable[..., Distance]] = {
        BaseDecodeHead: _segmentation_distance,
        AnchorHead: _detection_distance,
        ClassificationHead: _classification_distance,
    }
    for kind, rule in rules.items():
        if isinstance(head, kind):
            return rule
    raise UserError(
        f'supernet: {name} is a {type(head).__name__}; distillation is known '
        "for MMSegmentation's decode heads, MMDetection's heads with anchors "
        'and the classification head'
    )


def _mean(divergence: Divergence, weight: Tensor, total: Tensor) -> Distance:
    return Distance(
        (divergence.value * weight).sum() / total,
        (divergence.loss * weight).sum() / total,
    )


def _classification_distance(
    head: nn.Module, student: tuple, teacher: tuple, samples: Any, clip: float
) -> Distance:
    """Compare the classes of each image."""
    divergence = alpha_divergence(student[0], teacher[0], clip)
    return Distance(divergence.value.mean(), divergence.loss.mean())


def _segmentation_distance(
    head: Any, student: tuple, teacher: tuple, samples: Any, clip: float
) -> Distance:
    """Compare the classes of each pixel, at the size of the logits.

    Pixels that are labeled to be ignored do not count: the supernet has
    learned nothing there. The weight is that of the head's own loss.
    """
    logits = [_to_rows(outputs[0]) for outputs in (student, teacher)]
    if head.out_channels == 1:
        logits = [binary_logits(rows.squeeze(-1)) for rows in logits]
    divergence = alpha_divergence(*logits, clip)
    labels = torch.stack([sample.gt_sem_seg.data for sample in samples])
    size = divergence.value.shape[1:]
    labels = F.interpolate(labels.float(), size, mode='nearest')[:, 0]
    is_valid = (labels != head.ignore_index).to(divergence.loss)
    losses = head.loss_decode
    losses = losses if isinstance(losses, nn.ModuleList) else [losses]
    weight = sum(getattr(loss, 'loss_weight', 1.0) for loss in losses)
    total = is_valid.sum().clamp(min=1)
    return _mean(divergence, weight * is_valid, total)


def _to_rows(maps: Tensor) -> Tensor:
    """Move the channels of (N, C, H, W) to the end."""
    if not isinstance(maps, Tensor):
        raise UserError(
            'supernet: a decode head that returns several maps cannot be '
            'distilled'
        )
    return maps.permute(0, 2, 3, 1)


def _detection_distance(
    head: Any, student: tuple, teacher: tuple, samples: Any, clip: float
) -> Distance:
    """Compare classes and box of each anchor.

    Almost all anchors are background, so a mean over all would vanish: the
    sum is divided by the number of objects' anchors that the supernet
    expects, as the heads divide their own losses by the number of positive
    anchors. Boxes have no distribution; their deltas are compared by a smooth
    L1 loss, weighted by the supernet's probability that there is an object.
    """
    classes = head.cls_out_channels
    ours, theirs = (_anchors(o[0], classes) for o in (student, teacher))
    if head.use_sigmoid_cls:
        is_object = theirs.sigmoid().amax(-1)
        divergence = alpha_divergence(
            binary_logits(ours), binary_logits(theirs), clip
        )
        divergence = Divergence(*(d.sum(-1) for d in divergence))
    else:
        is_object = 1 - theirs.softmax(-1)[..., -1]  # background is last
        divergence = alpha_divergence(ours, theirs, clip)
    total = is_object.sum().clamp(min=1)
    boxes = F.smooth_l1_loss(
        _anchors(student[1], 4),
        _anchors(teacher[1], 4),
        reduction='none',
        beta=SMOOTH_L1_BETA,
    ).sum(-1)
    box_loss = (boxes * is_object).sum() / total
    distance = _mean(divergence, torch.ones_like(is_object), total)
    return Distance(
        distance.value + box_loss.detach(), distance.loss + box_loss
    )


def _anchors(levels: Sequence[Tensor], channels: int) -> Tensor:
    """Line up the anchors of all levels, (N, anchors, channels)."""
    return torch.cat(
        [
            m.permute(0, 2, 3, 1).flatten(1).unflatten(1, (-1, channels))
            for m in levels
        ],
        1,
    )


def detach(outputs: Any) -> Any:
    """Detach tensors, however they are nested."""
    if isinstance(outputs, Tensor):
        return outputs.detach()
    if isinstance(outputs, Mapping):
        return {key: detach(value) for key, value in outputs.items()}
    if type(outputs) in (list, tuple):
        return type(outputs)(detach(value) for value in outputs)
    return outputs
