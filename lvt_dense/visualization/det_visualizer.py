"""Pictures of detection and instance segmentation, from data samples."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmdet.visualization import DetLocalVisualizer
from mmengine.structures import InstanceData

from lvt_dense.registry import VISUALIZERS

from .det_drawing import Color, draw_boxes, draw_masks
from .seg_drawing import default_palette


@VISUALIZERS.register_module()
class DetVisualizer(DetLocalVisualizer):
    """Draw objects as MMDetection does, in a fraction of the time.

    Scores are written as 0.37, text is black or white, whichever can be read
    on the color of the class, and the best objects lie on top.

    Args:
        name: Name of the instance in MMEngine.
        max_objects: Number of predicted objects that are drawn, the best
            ones; labels are drawn all.
        **kwargs: As for MMDetection's ``DetLocalVisualizer``.
    """

    def __init__(
        self, name: str = 'visualizer', max_objects: int = 100, **kwargs: Any
    ) -> None:
        super().__init__(name, **kwargs)
        self.max_objects = max_objects

    def _draw_instances(
        self,
        image: np.ndarray,
        instances: InstanceData,
        classes: Sequence[str] | None,
        palette: Any,
    ) -> np.ndarray:
        """Draw objects; those with scores are predictions.

        Args:
            image: The image, (H, W, 3), RGB, uint8.
            instances: ``labels``, and ``bboxes``, ``masks`` and ``scores``
                as far as there are any.
            classes: Names of the classes.
            palette: A color a class.
        """
        labels = np.asarray(instances.labels, np.int64)
        order: np.ndarray = np.arange(len(labels))
        scores = instances.get('scores')
        if scores is not None:
            scores = np.asarray(scores)
            order = np.argsort(-scores, kind='stable')[: self.max_objects]
            order = order[::-1]
        table = _colors(palette, int(labels.max(initial=-1)) + 1)
        colors = [table[labels[i]] for i in order]
        masks = instances.get('masks')
        if masks is not None and len(order):
            image = draw_masks(image, _to_array(masks)[order], colors)
        if 'bboxes' not in instances or not len(order):
            return image
        texts = [_name(classes, labels[i]) for i in order]
        if scores is not None:
            texts = [f'{t} {scores[i]:.2f}' for t, i in zip(texts, order)]
        boxes = _to_boxes(instances.bboxes)
        if not boxes[order].any() and masks is not None:
            return image  # of heads that predict masks alone
        return draw_boxes(image, boxes[order], texts, colors)


def _colors(palette: Any, count: int) -> list[Color]:
    if not isinstance(palette, (list, tuple)) or len(palette) < count:
        palette = default_palette(count)
    return [(int(r), int(g), int(b)) for r, g, b in palette]


def _name(classes: Sequence[str] | None, label: int) -> str:
    if classes is None or label >= len(classes):
        return f'class {label}'
    return classes[label]


def _to_array(masks: Any) -> np.ndarray:
    to_ndarray = getattr(masks, 'to_ndarray', None)  # of mmdet's own masks
    return to_ndarray() if to_ndarray else np.asarray(masks)


def _to_boxes(boxes: Any) -> np.ndarray:
    return np.asarray(getattr(boxes, 'tensor', boxes), np.float64)
