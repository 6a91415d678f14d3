"""Hooks of the runner."""

from .patience_hook import PatienceHook
from .picture_hook import PictureHook

__all__ = ['PatienceHook', 'PictureHook']
