"""The official SSDLite detectors of MobileViT (ml-cvnets v0.1), whole."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from .layout import ANY, PARAMETER, Layout, Rule, StateDict, Target
from .mobilevit import CVNETS, backbone_rules

EXTRA_STRIDES = (64, 128, 256)
NUM_LEVELS = 6
BOX = 4  # values of a box, before the class scores of an anchor
CLASSES = 81  # of COCO, with the background
PREDICTION = 'bbox_head.predictors.'


def _rules() -> Iterator[Rule]:
    for theirs, ours in backbone_rules(CVNETS):
        yield f'encoder.{theirs}', f'backbone.{ours}'
    for index, stride in enumerate(EXTRA_STRIDES):
        for layer, own in (('dw_conv', 'depthwise'), ('pw_conv', 'pointwise')):
            yield (
                f'extra_layers.os_{stride}.{layer}.block.{ANY}',
                rf'neck.strided.{index}.{own}.\g<rest>',
            )
    yield 'extra_layers.os_-1.1.block.conv.weight', 'neck.pooled.weight'
    for level in range(NUM_LEVELS):
        theirs, ours = f'ssd_heads.{level}', f'{PREDICTION}{level}'
        yield (
            f'{theirs}.proj_layer.block.{ANY}',
            rf'bbox_head.projections.{level}.\g<rest>',
        )
        layers = f'{theirs}.loc_cls_layer'
        yield f'{layers}.block.conv.{PARAMETER}', rf'{ours}.\g<p>'
        yield (
            f'{layers}.dw_conv.block.{ANY}',
            rf'{ours}.depthwise.\g<rest>',
        )
        yield (
            f'{layers}.pw_conv.block.conv.{PARAMETER}',
            rf'{ours}.pointwise.\g<p>',
        )


class _SSDLite(Layout):
    """Also moves the background from the first class to the last."""

    def to_own(
        self, state: Mapping[str, Tensor], target: Target | None = None
    ) -> tuple[StateDict, list[str]]:
        """Rename, and reorder the rows of the predictions."""
        own, unknown = super().to_own(state, target)
        return {
            k: _move_background_last(k, v) for k, v in own.items()
        }, unknown


def _move_background_last(key: str, value: Tensor) -> Tensor:
    """Move the first class row of every anchor to the end."""
    if not key.startswith(PREDICTION) or '.depthwise.' in key:
        return value
    anchors = value.unflatten(0, (-1, BOX + CLASSES))
    boxes, scores = anchors[:, :BOX], anchors[:, BOX:]
    return torch.cat([boxes, scores.roll(-1, dims=1)], 1).flatten(0, 1)


LAYOUTS = (
    _SSDLite(
        'cvnets SSDLite',
        (
            'encoder.conv_1.block.conv.weight',
            'ssd_heads.0.proj_layer.block.conv.weight',
        ),
        _rules(),
        ignored=('encoder.conv_1x1_exp.', 'encoder.classifier.'),
    ),
)
