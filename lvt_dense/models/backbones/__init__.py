"""Light vision transformers as backbones; a family a line."""

from .base import PyramidBackbone, families
from .emo import EMO
from .emov2 import EMOv2
from .factory import build_backbone, list_backbones
from .mobilevit import MobileViT
from .nasvit import NASViT
from .plg_vit import PLGViT
from .t2t_vit import PlainT2TViT, T2TViT
from .timm import Timm

__all__ = [
    'EMO',
    'EMOv2',
    'MobileViT',
    'NASViT',
    'PLGViT',
    'PlainT2TViT',
    'PyramidBackbone',
    'T2TViT',
    'Timm',
    'build_backbone',
    'families',
    'list_backbones',
]
