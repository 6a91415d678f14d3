"""Records of all published weight files.

The tables of the families are keyed by variant; the first file of a variant
is the one that ``checkpoint='official'`` stands for. Figures are those that
the source states, and none was measured here. Nothing is shipped: files are
fetched from where their authors put them.
"""

from collections.abc import Mapping
from dataclasses import replace

from .records import IMAGENET_NORM, UNIT_BGR, UNIT_RGB, WeightFile

Table = Mapping[str, tuple[WeightFile, ...]]

APPLE = 'Apple Sample Code License'
CC_BY_NC = 'CC BY-NC 4.0'
CLEAR_BSD = 'Clear BSD'
APACHE = 'Apache-2.0'
CVNETS = 'https://docs-assets.developer.apple.com/ml-research/models/cvnets'
OPENMMLAB = 'https://download.openmmlab.com/mmclassification/v0'
HUGGING_FACE = 'https://huggingface.co'


# ---------------------------------------------------------------- MobileViT
def _mobilevit(
    arch: str, size: str, top1: float, mmpretrain: tuple[float, str]
) -> tuple[WeightFile, ...]:
    """List the files of a variant; all are conversions of the first one.

    Args:
        arch: Our name of the variant.
        size: What Hugging Face calls it.
        top1: Accuracy that ml-cvnets states.
        mmpretrain: Accuracy and hash that MMPretrain states.
    """
    name = f'mobilevit_{arch}'
    official = WeightFile(
        name=name,
        url=f'{CVNETS}/classification/{name}.pt',
        layout='cvnets',
        source='ml-cvnets v0.1',
        license=APPLE,
        top1=top1,
        input_norm=UNIT_BGR,
    )
    accuracy, digest = mmpretrain
    file = f'mobilevit-{size.replace("-", "")}_3rdparty_in1k_20221018-{digest}'
    return (
        official,
        replace(
            official,
            name=f'{name}.mmpretrain',
            url=f'{OPENMMLAB}/mobilevit/{file}.pth',
            layout='mmpretrain',
            source='MMPretrain, converted from ml-cvnets',
            top1=accuracy,
            sha256=digest,
        ),
        replace(
            official,
            name=f'{name}.huggingface',
            url=f'{HUGGING_FACE}/apple/mobilevit-{size}/resolve/main/'
            'pytorch_model.bin',
            layout='Hugging Face',
            source='Hugging Face, converted from ml-cvnets',
        ),
        # Whether timm reversed the channels of the stem is not known.
        replace(
            official,
            name=f'{name}.timm',
            url=f'{HUGGING_FACE}/timm/{name}.cvnets_in1k/resolve/main/'
            'model.safetensors',
            layout='timm',
            source='timm, converted from ml-cvnets',
            top1=None,
            input_norm=None,
        ),
    )


_RANGE_AUGMENT = WeightFile(
    name='mobilevit_s.range_augment',
    url=f'{CVNETS}-v2/examples/range_augment/classification/'
    'mobilevit_small.pt',
    layout='cvnets',
    source='ml-cvnets v0.3, RangeAugment',
    license=APPLE,
    top1=78.2,
    input_norm=UNIT_RGB,
)
MOBILEVIT: Table = {
    'xxs': _mobilevit('xxs', 'xx-small', 69.0, (69.02, '77835605')),
    'xs': _mobilevit('xs', 'x-small', 74.7, (74.75, 'be39a6e7')),
    's': (
        *_mobilevit('s', 'small', 78.3, (78.25, 'cb4f741c')),
        _RANGE_AUGMENT,
    ),
}


# ---------------------------------------------------------------------- EMO
def _emo(arch: str, top1: float) -> tuple[WeightFile]:
    folder = 'https://github.com/zhangzjn/EMO/raw/main/resources'
    return (
        WeightFile(
            name=f'emo_{arch}',
            url=f'{folder}/EMO_{arch.upper()}/net.pth',
            layout='official',
            source='EMO, averaged weights',
            top1=top1,
            input_norm=IMAGENET_NORM,
        ),
    )


EMO: Table = {
    arch: _emo(arch, top1)
    for arch, top1 in (('1m', 71.5), ('2m', 75.1), ('5m', 78.4), ('6m', 79.0))
}


# -------------------------------------------------------------------- EMOv2
def _emov2(arch: str, top1: float, file: str, tag: str = '') -> WeightFile:
    folder = 'https://github.com/zhangzjn/data'
    return WeightFile(
        name=f'emov2_{arch}{tag}',
        url=f'{folder}/raw/main/emov2_pretrained_weights/{file}.pth',
        page=f'{folder}/tree/main/emov2_pretrained_weights',
        layout='official',
        source='EMOv2, distilled' if tag else 'EMOv2',
        top1=top1,
        input_norm=IMAGENET_NORM,
    )


EMOV2: Table = {
    '1m': (
        _emov2('1m', 72.3, 'EMOv2_1M_224'),
        _emov2('1m', 73.5, 'EMOv2_1M_224_KD', '.distilled'),
    ),
    '2m': (
        _emov2('2m', 75.8, 'EMOv2_2M_224'),
        _emov2('2m', 76.7, 'EMOv2_2M_224_KD', '.distilled'),
    ),
    '5m': (
        _emov2('5m', 79.4, 'EMOv2_5M_224'),
        _emov2('5m', 80.9, 'EMOv2_5M_224_KD', '.distilled'),
        # at 512 pixels, in windows of 8; EMOv2's repository has it as
        # EMOv2_5M_512_KD.pth
        _emov2('5m', 82.9, 'EMOv2_5M_512', '.512'),
    ),
}

# ------------------------------------------------------------------- NASViT
_SUPERNET_ID = '1Dk2yR7zHYB4dOiqCUnKjkCsKf_cMWjSY'
_SUPERNET = WeightFile(
    name='nasvit_supernet',
    url='https://drive.usercontent.google.com/download'
    f'?id={_SUPERNET_ID}&export=download&confirm=t',
    page=f'https://drive.google.com/file/d/{_SUPERNET_ID}/view',
    layout='official supernet',
    source='NASViT',
    license=CC_BY_NC,
    input_norm=IMAGENET_NORM,
)


def _subnet(top1: float, source: str) -> tuple[WeightFile]:
    """Return the supernet's file, with the metrics of a part of it."""
    return (replace(_SUPERNET, top1=top1, source=f'NASViT; result: {source}'),)


NASVIT: Table = {
    'min': _subnet(78.34, 'NASViT'),
    'a1': _subnet(79.7, 'the paper, as Papers with Code lists it'),
    't1': _subnet(78.4, 'MathNAS'),
    't2': _subnet(79.6, 'MathNAS'),
    't3': _subnet(81.3, 'MathNAS'),
    't4': _subnet(82.0, 'MathNAS'),
    't5': _subnet(82.5, 'MathNAS'),
    'max': _subnet(82.79, 'NASViT'),
}


# ------------------------------------------------------------------ T2T-ViT
def _t2t(
    arch: str, top1: float, file: str, tag: str = '', size: int | None = None
) -> WeightFile:
    folder = 'https://github.com/yitu-opensource/T2T-ViT/releases/download'
    return WeightFile(
        name=f't2t_vit_{arch}{tag}',
        url=f'{folder}/main/{top1}_{file}.pth.tar',
        layout='official',
        source='T2T-ViT',
        license=CLEAR_BSD,
        top1=top1,
        size=size,
        input_norm=IMAGENET_NORM,
    )


def _t2t_transformer(
    depth: int,
    top1: float,
    converted: tuple[float, str],
    trained: tuple[float, str],
) -> tuple[WeightFile, ...]:
    """List the files of a variant with transformer tokens.

    Args:
        depth: Number of blocks.
        top1: Accuracy of the official file.
        converted: Accuracy and hash of MMPretrain's copy of it.
        trained: Accuracy, and date and hash, of MMPretrain's own training.
    """
    official = _t2t(f't_{depth}', top1, f'T2T_ViTt_{depth}')
    stem = f'{OPENMMLAB}/t2t-vit/t2t-vit-t-{depth}'
    copy, own = converted, trained
    return (
        official,
        replace(
            official,
            name=f'{official.name}.mmpretrain',
            url=f'{stem}_8xb64_in1k_{own[1]}.pth',
            layout='mmpretrain',
            source='MMPretrain, its own training',
            license=APACHE,
            top1=own[0],
            sha256=own[1].partition('-')[2],
        ),
        replace(
            official,
            name=f'{official.name}.mmpretrain_converted',
            url=f'{stem}_3rdparty_8xb64_in1k_20210928-{copy[1]}.pth',
            layout='mmpretrain',
            source='MMPretrain, converted from T2T-ViT',
            top1=copy[0],
            sha256=copy[1],
        ),
    )


T2T_VIT: Table = {
    '7': (_t2t('7', 71.7, 'T2T_ViT_7'),),
    '10': (_t2t('10', 75.2, 'T2T_ViT_10'),),
    '12': (_t2t('12', 76.5, 'T2T_ViT_12'),),
    '14': (
        _t2t('14', 81.5, 'T2T_ViT_14', size=86_212_823),
        _t2t('14', 83.3, 'T2T_ViT_14', '.384'),  # at 384 pixels
    ),
    '19': (_t2t('19', 81.9, 'T2T_ViT_19'),),
    '24': (
        _t2t('24', 82.3, 'T2T_ViT_24'),
        _t2t('24', 84.2, 'T2T_ViT_24', '.token_labeling'),
    ),
    't_14': _t2t_transformer(
        14, 81.7, (81.69, 'b7c09b62'), (81.83, '20211220-f7378dd5')
    ),
    't_19': _t2t_transformer(
        19, 82.4, (82.43, '7f1478d5'), (82.63, '20211214-7f5e3aaf')
    ),
    't_24': _t2t_transformer(
        24, 82.6, (82.55, 'fe95a61b'), (82.71, '20211214-b2a68ae3')
    ),
}


# ------------------------------------------------------------- whole models
def _whole(
    name: str, path: str, metric: str, value: float, **facts: object
) -> WeightFile:
    """Describe a detector or segmenter of ml-cvnets v0.1."""
    task = 'SSDLite' if name.startswith('ssdlite') else 'DeepLabv3'
    fixed = WeightFile(
        name=name,
        url=f'{CVNETS}{path}.pt',
        layout=f'cvnets {task}',
        source='ml-cvnets v0.1',
        license=APPLE,
        metrics={metric: value},
        input_norm=UNIT_BGR,
        dataset='coco' if task == 'SSDLite' else 'voc',
    )
    return replace(fixed, **facts)  # type: ignore[arg-type]


WHOLE_MODELS: tuple[WeightFile, ...] = (
    *(
        _whole(
            f'ssdlite_mobilevit{size}_320_coco',
            f'/detection/ssd_mobilevit_{arch}_320',
            'bbox_mAP',
            bbox_map,
        )
        for arch, size, bbox_map in (
            ('xxs', '_xxs', 19.9),
            ('xs', '_xs', 24.8),
            ('s', '', 27.9),
        )
    ),
    *(
        _whole(
            f'deeplabv3_mobilevit{size}_512_voc12aug',
            f'/segmentation/deeplabv3_mobilevit_{arch}',
            'mIoU',
            miou,
        )
        for arch, size, miou in (
            ('xxs', '_xxs', 72.8),
            ('xs', '_xs', 77.1),
            ('s', '', 79.3),
        )
    ),
    _whole(
        'deeplabv3_mobilevit_512_voc12aug.cvnets_v2',
        '-v2/segmentation/pascalvoc/deeplabv3-mobilevitv1',
        'mIoU',
        79.44,
        layout='cvnets v0.2 DeepLabv3',
        source='ml-cvnets, later model zoo',
        input_norm=UNIT_RGB,
    ),
    _whole(
        'deeplabv3_mobilevit_512_ade20k',
        '-v2/examples/range_augment/segmentation/ade20k/deeplabv3_mobilevit',
        'mIoU',
        38.5,
        layout='cvnets v0.2 DeepLabv3',
        source='ml-cvnets v0.3, RangeAugment',
        input_norm=UNIT_RGB,
        dataset='ade20k',
    ),
    *(
        WeightFile(
            name=f'deeplabv3_mobilevit{arch}_512_voc12aug.huggingface',
            url=f'{HUGGING_FACE}/apple/deeplabv3-mobilevit-{size}/resolve/'
            'main/pytorch_model.bin',
            page=f'{HUGGING_FACE}/apple/deeplabv3-mobilevit-{size}',
            layout='Hugging Face DeepLabv3',
            source='Hugging Face, converted from ml-cvnets',
            license=APPLE,
            input_norm=UNIT_BGR,
            dataset='voc',
        )
        for arch, size in (
            ('_xxs', 'xx-small'),
            ('_xs', 'x-small'),
            ('', 'small'),
        )
    ),
)
