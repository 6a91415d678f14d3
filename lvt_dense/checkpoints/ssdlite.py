"""The official SSDLite detectors of MobileViT (ml-cvnets v0.1), whole."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from .layout import Layout, StateDict, Target
from .mobilevit import CVNETS, backbone_pairs

EXTRA_STRIDES = (64, 128, 256)
NUM_LEVELS = 6
BOX = 4  # values of a box, before the class scores of an anchor
CLASSES = 81  # of COCO, with the background
PREDICTION = 'bbox_head.predictors.'


def _pairs() -> Iterator[tuple[str, str]]:
    for theirs, ours in backbone_pairs(CVNETS):
        yield f'encoder.{theirs}', f'backbone.{ours}'
    for index, stride in enumerate(EXTRA_STRIDES):
        for layer, own in (('dw_conv', 'depthwise'), ('pw_conv', 'pointwise')):
            yield (
                f'extra_layers.os_{stride}.{layer}.block.{{rest}}',
                f'neck.strided.{index}.{own}.{{rest}}',
            )
    yield 'extra_layers.os_-1.1.block.conv.weight', 'neck.pooled.weight'
    for level in range(NUM_LEVELS):
        theirs, ours = f'ssd_heads.{level}', f'{PREDICTION}{level}'
        yield (
            f'{theirs}.proj_layer.block.{{rest}}',
            f'bbox_head.projections.{level}.{{rest}}',
        )
        layers = f'{theirs}.loc_cls_layer'
        yield f'{layers}.block.conv.{{p}}', f'{ours}.{{p}}'
        yield f'{layers}.dw_conv.block.{{rest}}', f'{ours}.depthwise.{{rest}}'
        yield (
            f'{layers}.pw_conv.block.conv.{{p}}',
            f'{ours}.pointwise.{{p}}',
        )


class _SSDLite(Layout):
    """Also moves the background from the first class to the last."""

    def to_own(
        self, state: Mapping[str, Tensor], target: Target | None = None
    ) -> tuple[StateDict, list[str]]:
        """Rename, and reorder the rows of the predictions."""
        own, unknown = super().to_own(state, target)
        return {k: _moved(k, v, -1) for k, v in own.items()}, unknown

    def to_official(self, own: Mapping[str, Tensor]) -> StateDict:
        """Reorder the rows of the predictions back, and rename."""
        moved = {key: _moved(key, value, 1) for key, value in own.items()}
        return super().to_official(moved)


def _moved(key: str, value: Tensor, by: int) -> Tensor:
    """Roll the class rows of every anchor in a prediction layer."""
    if not key.startswith(PREDICTION) or '.depthwise.' in key:
        return value
    anchors = value.unflatten(0, (-1, BOX + CLASSES))
    boxes, scores = anchors[:, :BOX], anchors[:, BOX:]
    return torch.cat([boxes, scores.roll(by, dims=1)], 1).flatten(0, 1)


LAYOUTS = (
    _SSDLite(
        'cvnets SSDLite',
        (
            'encoder.conv_1.block.conv.weight',
            'ssd_heads.0.proj_layer.block.conv.weight',
        ),
        _pairs(),
        ignored=('encoder.conv_1x1_exp.', 'encoder.classifier.'),
    ),
)
