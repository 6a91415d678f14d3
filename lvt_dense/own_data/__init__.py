"""One's own data in a common layout, with any recipe."""

from .api import use_data

__all__ = ['use_data']
