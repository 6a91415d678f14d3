"""Light vision transformers as backbones; a family a line."""

from .base import PyramidBackbone
from .factory import build_backbone, families, list_backbones
from .mobilevit import MobileViT

__all__ = [
    'MobileViT',
    'PyramidBackbone',
    'build_backbone',
    'families',
    'list_backbones',
]
