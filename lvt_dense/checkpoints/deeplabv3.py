"""The official DeepLabv3 segmenters of MobileViT, whole.

Those of ml-cvnets v0.1, of its later versions, which have an auxiliary head,
and of Hugging Face's
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
    """Yield the rules of the head.

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


def _cvnets_rules(classifier: str) -> Iterator[Rule]:
    for theirs, ours in backbone_rules(CVNETS):
        yield f'encoder.{theirs}', f'backbone.{ours}'
    yield from _head_rules(
        aspp='seg_head.aspp.aspp_layer',
        pool='convs.4.aspp_pool.conv_1x1',
        block='.block',
        layers=('conv', 'norm'),
        classifier=f'seg_head.{classifier}.block.conv',
    )


def _auxiliary_rules() -> Iterator[Rule]:
    for theirs, ours in (
        ('0.block.conv', 'convs.0.conv'),
        ('0.block.norm', 'convs.0.bn'),
        ('2.block.conv', 'conv_seg'),
    ):
        yield (
            f'seg_head.aux_head.{theirs}.{PARAMETER}',
            rf'auxiliary_head.{ours}.\g<p>',
        )


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
            'seg_head.classifier.classifier.block.conv.weight',
        ),
        _cvnets_rules('classifier.classifier'),
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
    Layout(
        'cvnets v0.2 DeepLabv3',
        (
            'encoder.conv_1.block.conv.weight',
            'seg_head.classifier.block.conv.weight',
        ),
        [*_cvnets_rules('classifier'), *_auxiliary_rules()],
        ignored=('encoder.conv_1x1_exp.', 'encoder.classifier.'),
    ),
)
