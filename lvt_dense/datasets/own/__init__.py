"""Train any recipe on data of one's own, in a common layout."""

from .api import use_data

__all__ = ['use_data']
