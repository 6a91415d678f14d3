"""Our backbones in the configs that people have."""

from .api import swap_backbone
from .write import write_config

__all__ = ['swap_backbone', 'write_config']
