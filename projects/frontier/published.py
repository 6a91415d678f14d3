"""Models of the comparison, and what was published about them.

No figure here was reproduced by us. Figures of different heads, schedules or
input sizes are not comparable with each other.
"""

from typing import NamedTuple

EMO = 'arXiv 2301.01146, official logs'
EMOV2 = 'arXiv 2412.06674, README of zhangzjn/EMOv2'
MOBILEVIT = 'arXiv 2110.02178'
CVNETS = 'ml-cvnets v0.3, examples/range_augment'
CPUBONE = 'arXiv 2603.26425, README of altair199797/CPUBone'
REPVIT = 'arXiv 2307.09283, README of THU-MIG/RepViT'
SHVIT = 'arXiv 2401.16456, README of ysj9909/SHViT'
MNV4 = 'arXiv 2404.10518, at 384 x 384'
FASTVIT = 'arXiv 2303.14189, as cited by arXiv 2401.16456'

RETINANET = 'RetinaNet'
MASK_RCNN = 'Mask R-CNN'
SSDLITE = 'SSDLite 320'
DEEPLAB = 'DeepLabv3'
SEMANTIC_FPN = 'Semantic FPN'
COCO, ADE20K, VOC = 'COCO', 'ADE20K', 'VOC'
DETECTION = (COCO,)
SEGMENTATION = (ADE20K, VOC)


class Published(NamedTuple):
    """A figure that its authors published.

    Attributes:
        head: Detector or segmenter on top of the backbone.
        dataset: Where it was measured.
        value: Box mAP or mIoU in percent.
        source: Where it stands.
    """

    head: str
    dataset: str
    value: float
    source: str


OURS = (
    'mobilevit_xxs',
    'mobilevit_xs',
    'mobilevit_s',
    'emo_1m',
    'emo_2m',
    'emo_5m',
    'emo_6m',
    'emov2_1m',
    'emov2_2m',
    'emov2_5m',
    'nasvit_min',
    'nasvit_t2',
    'nasvit_max',
    'plg_vit_lw_r',
    'plg_vit_lw_a',
    't2t_vit_7',
    't2t_vit_14',
)
THEIRS = (
    'cpubone_b0_bfrobust',
    'cpubone_b1_bfrobust',
    'cpubone_b2_bfrobust',
    'cpubone_b3',
    'repvit_m0_9',
    'repvit_m1_1',
    'repvit_m1_5',
    'mobilenetv4_conv_small',
    'mobilenetv4_conv_medium',
    'mobilenetv4_hybrid_medium',
    'fastvit_t8',
    'fastvit_sa12',
    'shvit_s1',
    'shvit_s4',
    'starnet_s1',
    'starnet_s4',
)
PUBLISHED: dict[str, tuple[Published, ...]] = {
    'mobilevit_xxs': (
        Published(SSDLITE, COCO, 19.9, 'ml-cvnets v0.1, README'),
        Published(DEEPLAB, VOC, 73.6, MOBILEVIT),
    ),
    'mobilevit_xs': (
        Published(SSDLITE, COCO, 24.8, MOBILEVIT),
        Published(DEEPLAB, VOC, 77.1, MOBILEVIT),
    ),
    'mobilevit_s': (
        Published(SSDLITE, COCO, 27.7, MOBILEVIT),
        Published(MASK_RCNN, COCO, 42.0, CVNETS),
        Published(DEEPLAB, VOC, 79.1, MOBILEVIT),
        Published(DEEPLAB, ADE20K, 38.5, CVNETS),
    ),
    'emo_1m': (
        Published(RETINANET, COCO, 34.4, EMO),
        Published(SSDLITE, COCO, 22.0, EMO),
        Published(DEEPLAB, ADE20K, 33.5, EMO),
    ),
    'emo_2m': (
        Published(RETINANET, COCO, 36.2, EMO),
        Published(SSDLITE, COCO, 25.2, EMO),
        Published(DEEPLAB, ADE20K, 35.3, EMO),
    ),
    'emo_5m': (
        Published(RETINANET, COCO, 38.9, EMO),
        Published(SSDLITE, COCO, 27.9, EMO),
        Published(DEEPLAB, ADE20K, 37.8, EMO),
    ),
    'emov2_1m': (
        Published(RETINANET, COCO, 36.9, EMOV2),
        Published(MASK_RCNN, COCO, 37.1, EMOV2),
        Published(SSDLITE, COCO, 22.3, EMOV2),
        Published(DEEPLAB, ADE20K, 34.6, EMOV2),
        Published(SEMANTIC_FPN, ADE20K, 37.1, EMOV2),
    ),
    'emov2_2m': (
        Published(RETINANET, COCO, 39.3, EMOV2),
        Published(MASK_RCNN, COCO, 39.5, EMOV2),
        Published(SSDLITE, COCO, 26.0, EMOV2),
        Published(DEEPLAB, ADE20K, 36.8, EMOV2),
        Published(SEMANTIC_FPN, ADE20K, 39.9, EMOV2),
    ),
    'emov2_5m': (
        Published(RETINANET, COCO, 41.5, EMOV2),
        Published(MASK_RCNN, COCO, 42.3, EMOV2),
        Published(SSDLITE, COCO, 29.6, EMOV2),
        Published(DEEPLAB, ADE20K, 39.8, EMOV2),
        Published(SEMANTIC_FPN, ADE20K, 42.4, EMOV2),
    ),
    'cpubone_b0_bfrobust': (
        Published(RETINANET, COCO, 37.5, CPUBONE),
        Published(SEMANTIC_FPN, ADE20K, 37.9, CPUBONE),
    ),
    'cpubone_b1_bfrobust': (
        Published(RETINANET, COCO, 39.0, CPUBONE),
        Published(SEMANTIC_FPN, ADE20K, 39.2, CPUBONE),
    ),
    'cpubone_b2_bfrobust': (
        Published(RETINANET, COCO, 40.4, CPUBONE),
        Published(SEMANTIC_FPN, ADE20K, 42.1, CPUBONE),
    ),
    'cpubone_b3': (
        Published(RETINANET, COCO, 42.9, CPUBONE),
        Published(SEMANTIC_FPN, ADE20K, 44.1, CPUBONE),
    ),
    'repvit_m1_1': (
        Published(MASK_RCNN, COCO, 39.8, REPVIT),
        Published(SEMANTIC_FPN, ADE20K, 40.6, REPVIT),
    ),
    'repvit_m1_5': (
        Published(MASK_RCNN, COCO, 41.6, REPVIT),
        Published(SEMANTIC_FPN, ADE20K, 43.6, REPVIT),
    ),
    'mobilenetv4_conv_medium': (Published(RETINANET, COCO, 32.6, MNV4),),
    'mobilenetv4_hybrid_medium': (Published(RETINANET, COCO, 34.0, MNV4),),
    'fastvit_sa12': (Published(MASK_RCNN, COCO, 38.9, FASTVIT),),
    'shvit_s4': (
        Published(RETINANET, COCO, 38.8, SHVIT),
        Published(MASK_RCNN, COCO, 39.0, SHVIT),
    ),
}


def figures_of(name: str, datasets: tuple[str, ...]) -> list[Published]:
    """Find the published figures of a backbone on some data sets."""
    return [f for f in PUBLISHED.get(name, ()) if f.dataset in datasets]
