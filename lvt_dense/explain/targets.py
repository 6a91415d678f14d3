"""What is explained: the score of an object, or the pixels of a class."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from lvt_dense.utils.errors import UserError

# A detection is still the same object above this IoU with what it was.
_SAME = 0.5
_NEAR = 1.0  # pixel; boxes that differ by less are the same, too

Score = Callable[[Tensor], Tensor]


@dataclass
class Target:
    """What is explained.

    Attributes:
        text: In words.
        box: (4,) x1, y1, x2, y2 in pixels of the original image; None for a
            class of a segmenter.
        score: Maps images (N, 3, H, W), normalized, to scores (N,).
    """

    text: str
    box: Tensor | None
    score: Score


@contextmanager
def kept_gradients() -> Iterator[None]:
    """Let the scores of MMDetection's dense heads have gradients.

    In prediction these heads cut their maps off the graph.
    """
    from mmdet.models.utils import misc

    plain = misc.select_single_mlvl

    def select(maps: Any, image: int, detach: bool = True) -> Any:
        return plain(maps, image, detach=False)

    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith('mmdet.models') and hasattr(
                module, 'select_single_mlvl'
            ):
                stack.enter_context(
                    mock.patch.object(module, 'select_single_mlvl', select)
                )
        yield


def predict(model: nn.Module, images: Tensor, samples: list) -> Any:
    """Predict with gradients.

    Args:
        model: Detector or segmenter in eval mode.
        images: (1, 3, H, W), normalized.
        samples: The data sample of the image.

    Returns:
        The sample with the prediction.
    """
    with kept_gradients():
        return model(images, samples, mode='predict')[0]


def find_target(
    model: nn.Module,
    images: Tensor,
    samples: list,
    classes: list[str],
    detection: int | None = None,
    class_name: str | None = None,
) -> Target:
    """Choose what is explained.

    Args:
        model: Detector or segmenter in eval mode.
        images: (1, 3, H, W), normalized.
        samples: The data sample of the image.
        classes: Names of the classes.
        detection: Number of the detection, from the highest score on; the
            first one by default.
        class_name: Class of a segmenter; by default the one with the most
            pixels. For a detector, detections of this class are counted.

    Raises:
        UserError: There is no such detection or class.
    """
    if class_name is not None and class_name not in classes:
        raise UserError(
            f'--class {class_name}: choose from {", ".join(classes)}'
        )
    label = None if class_name is None else classes.index(class_name)
    with torch.no_grad():
        sample = predict(model, images, samples)
    if 'pred_sem_seg' in sample:
        if detection is not None:
            raise UserError(
                '--detection: a segmenter has classes; give --class NAME'
            )
        return _class_target(model, samples, sample, classes, label)
    return _object_target(model, samples, sample, classes, detection, label)


def _class_target(
    model: nn.Module,
    samples: list,
    sample: Any,
    classes: list[str],
    label: int | None,
) -> Target:
    """Score a class by its mean logit where it was predicted.

    Source: Vinogradova et al., "Towards Interpretable Semantic Segmentation
    via Gradient-weighted Class Activation Mapping", AAAI 2020.
    """
    labels = sample.pred_sem_seg.data[0]
    if label is None:
        label = int(labels.flatten().bincount().argmax())
    pixels = labels == label
    if not pixels.any():
        found = sorted({classes[i] for i in labels.unique().tolist()})
        raise UserError(
            f'no pixel was predicted as {classes[label]}; there are '
            f'{", ".join(found)}'
        )

    def score(images: Tensor) -> Tensor:
        values = []
        for image in images:
            found = predict(model, image[None], samples)
            logits = found.seg_logits.data
            channel = logits[min(label, len(logits) - 1)]
            values.append(channel[pixels].mean())
        return torch.stack(values)

    share = float(pixels.float().mean())
    return Target(f'{classes[label]} ({share:.1%} of pixels)', None, score)


def _object_target(
    model: nn.Module,
    samples: list,
    sample: Any,
    classes: list[str],
    detection: int | None,
    label: int | None,
) -> Target:
    boxes, scores, labels = _instances(sample)
    order = scores.argsort(descending=True, stable=True)
    if label is not None:
        order = order[labels[order] == label]
    number = detection or 0
    if not 0 <= number < len(order):
        raise UserError(
            f'--detection {number}: there are {len(order)} detections'
            + (f' of {classes[label]}' if label is not None else '')
        )
    chosen = order[number]
    box, kind = boxes[chosen].detach(), int(labels[chosen])

    def score(images: Tensor) -> Tensor:
        values = []
        for image in images:
            found = predict(model, image[None], samples)
            own_boxes, own_scores, own_labels = _instances(found)
            same = (own_labels == kind) & _is_same(own_boxes, box)
            values.append(
                own_scores[same].max() if same.any() else 0 * image.sum()
            )
        return torch.stack(values)

    text = f'{classes[kind]} {float(scores[chosen]):.2f}'
    return Target(text, box, score)


def _instances(sample: Any) -> tuple[Tensor, Tensor, Tensor]:
    if 'pred_instances_3d' in sample:
        found = sample.pred_instances_3d
        return found.bboxes, found.scores_3d, found.labels_3d
    found = sample.pred_instances
    return found.bboxes, found.scores, found.labels


def _is_same(boxes: Tensor, box: Tensor) -> Tensor:
    # A box without area has no IoU, not even with itself.
    near = (boxes - box).abs().amax(1) < _NEAR
    return near | (_iou(boxes, box) >= _SAME)


def _iou(boxes: Tensor, box: Tensor) -> Tensor:
    low = torch.maximum(boxes[:, :2], box[:2])
    high = torch.minimum(boxes[:, 2:], box[2:])
    common = (high - low).clamp(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return common / (areas + (box[2:] - box[:2]).prod() - common + 1e-9)
