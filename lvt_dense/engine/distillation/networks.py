"""Find and run the parts of a network whose output is imitated."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from lvt_dense.utils.errors import UserError

FEATURES, LOGITS, MAPS = 'features', 'logits', 'maps'
SEGMENTER, DETECTOR, MONO3D = 'segmenter', 'detector', 'monocular 3D detector'
# Tasks in an exported file's metadata.
EXPORTED = dict(
    semantic=SEGMENTER, detection=DETECTOR, instance=DETECTOR, mono3d=MONO3D
)


def task_of_network(model: nn.Module) -> str:
    """Name what a model is for.

    Raises:
        UserError: It is none of a segmenter, a detector and a monocular 3D
            detector.
    """
    from mmdet.models.detectors.base import BaseDetector
    from mmseg.models.segmentors import EncoderDecoder

    from lvt_dense.models.mono3d import Mono3DDetector

    if isinstance(model, Mono3DDetector):
        return MONO3D
    if isinstance(model, BaseDetector):
        return DETECTOR
    if isinstance(model, EncoderDecoder):
        return SEGMENTER
    raise UserError(
        f'distillation: {type(model).__name__} is neither a detector of '
        'MMDetection nor an encoder-decoder of MMSegmentation'
    )


def part_of(model: Any, what: str) -> nn.Module:
    """Find the part of a network whose output is imitated.

    Args:
        model: The network.
        what: ``features``, ``logits`` or ``maps``.

    Raises:
        UserError: It has no such part.
    """
    if what == FEATURES:
        part = getattr(model, 'neck', None)
        part = getattr(model, 'backbone', None) if part is None else part
    elif what == LOGITS:
        part = getattr(model, 'decode_head', None)
        if isinstance(part, nn.ModuleList):  # a cascade
            part = part[-1]
    else:
        part = getattr(model, 'bbox_head', None)
    if not isinstance(part, nn.Module):
        raise UserError(
            f'distillation: {type(model).__name__} has no single head; '
            'use --distill pkd, which compares the features of the necks'
        )
    return part


def run(model: Any, images: Tensor, what: str) -> Any:
    """Run a network up to what is imitated.

    Args:
        model: The network.
        images: Normalized images, (N, 3, H, W).
        what: ``features``, ``logits`` or ``maps``.

    Returns:
        The levels of the neck or backbone; the logits (N, C, h, w); or what
        the head's ``forward`` returns.
    """
    features = model.extract_feat(images)
    if what == FEATURES:
        return as_levels(features)
    if what == LOGITS:
        return as_logits(_decode(model.decode_head, features))
    return run_head(part_of(model, MAPS), features)


def run_head(head: Any, features: Sequence[Tensor]) -> Any:
    """Run a dense head, MonoCon's with what it has for training."""
    from lvt_dense.models.mono3d import MonoConHead

    if isinstance(head, MonoConHead):
        return head(features, auxiliary=True)
    return head(features)


def as_levels(features: Any) -> list[Tensor]:
    """Return features as a list of levels."""
    return [features] if isinstance(features, Tensor) else list(features)


def as_logits(outputs: Any) -> Tensor:
    """Return the logits among what a decode head returns."""
    # DANet and EncNet return what only their losses want, too.
    return outputs[0] if isinstance(outputs, (tuple, list)) else outputs


def _decode(head: Any, features: Sequence[Tensor]) -> Any:
    if not isinstance(head, nn.ModuleList):
        return head(features)
    logits = head[0](features)
    for stage in head[1:]:
        logits = stage(features, logits)
    return logits
