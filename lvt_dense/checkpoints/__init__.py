"""Official checkpoint layouts, and the strict way to load them."""

from .layout import Layout, Target
from .read import read_state_dict

__all__ = [
    'Layout',
    'Target',
    'read_state_dict',
]
