"""Put a backbone into an existing config."""

from .config_file import write_config
from .swap import swap_backbone

__all__ = ['swap_backbone', 'write_config']
