"""Put a backbone into an existing config."""

from .api import swap_backbone
from .write import write_config

__all__ = ['swap_backbone', 'write_config']
