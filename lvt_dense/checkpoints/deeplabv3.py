"""The official DeepLabv3 segmenters of MobileViT, whole.

Those of ml-cvnets v0.1 and of Hugging Face's
``MobileViTForSemanticSegmentation``, which was converted from them.
"""

from collections.abc import Iterator

from .layout import PARAMETER, Layout, Rule
from .mobilevit import (
    CVNETS,
    HUGGING_FACE,
    HuggingFaceLayout,
    backbone_rules,
)

NUM_BRANCHES = 4  # 1x1, and one for every rate


def _head_rules(
    aspp: str, pool: str, block: str, layers: tuple[str, str], classifier: str
) -> Iterator[Rule]:
    """Rules of the head.

    Args:
        aspp: Before the branches.
        pool: Branch of the image pooling, after ``aspp``.
        block: Between a branch and its layers.
        layers: Convolution and norm of a branch.
        classifier: The last convolution.
    """
    parts = [
        (f'{aspp}.convs.{i}', f'branches.{i}') for i in range(NUM_BRANCHES)
    ]
    parts.append((f'{aspp}.{pool}', 'pool.1'))
    parts.append((f'{aspp}.project', 'project'))
    for theirs, ours in parts:
        for their_layer, our_layer in zip(layers, ('conv', 'bn')):
            yield (
                f'{theirs}{block}.{their_layer}.{PARAMETER}',
                rf'decode_head.{ours}.{our_layer}.\g<p>',
            )
    yield f'{classifier}.{PARAMETER}', r'decode_head.conv_seg.\g<p>'


def _cvnets_rules() -> Iterator[Rule]:
    for theirs, ours in backbone_rules(CVNETS):
        yield f'encoder.{theirs}', f'backbone.{ours}'
    yield from _head_rules(
        aspp='seg_head.aspp.aspp_layer',
        pool='convs.4.aspp_pool.conv_1x1',
        block='.block',
        layers=('conv', 'norm'),
        classifier='seg_head.classifier.classifier.block.conv',
    )
    # later versions drop a level, and have an auxiliary head
    for theirs, ours in (
        ('classifier.block.conv', 'decode_head.conv_seg'),
        ('aux_head.0.block.conv', 'auxiliary_head.convs.0.conv'),
        ('aux_head.0.block.norm', 'auxiliary_head.convs.0.bn'),
        ('aux_head.2.block.conv', 'auxiliary_head.conv_seg'),
    ):
        yield f'seg_head.{theirs}.{PARAMETER}', rf'{ours}.\g<p>'


def _hugging_face_rules() -> Iterator[Rule]:
    for theirs, ours in backbone_rules(HUGGING_FACE):
        yield f'mobilevit.{theirs}', f'backbone.{ours}'
    yield from _head_rules(
        aspp='segmentation_head.aspp',
        pool='convs.4.conv_1x1',
        block='',
        layers=('convolution', 'normalization'),
        classifier='segmentation_head.classifier.convolution',
    )


LAYOUTS = (
    Layout(
        'cvnets DeepLabv3',
        (
            'encoder.conv_1.block.conv.weight',
            'seg_head.aspp.aspp_layer.project.block.conv.weight',
        ),
        _cvnets_rules(),
        ignored=('encoder.conv_1x1_exp.', 'encoder.classifier.'),
    ),
    HuggingFaceLayout(
        'Hugging Face DeepLabv3',
        (
            'mobilevit.conv_stem.convolution.weight',
            'segmentation_head.aspp.project.convolution.weight',
        ),
        _hugging_face_rules(),
        ignored=('mobilevit.conv_1x1_exp.',),
    ),
)
