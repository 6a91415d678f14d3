"""Light vision transformers as backbones; a family a line."""

from .base import PyramidBackbone
from .emo import EMO
from .factory import build_backbone, families, list_backbones
from .mobilevit import MobileViT
from .nasvit import NASViT

__all__ = [
    'EMO',
    'MobileViT',
    'NASViT',
    'PyramidBackbone',
    'build_backbone',
    'families',
    'list_backbones',
]
