"""Hooks of the runner."""

from .mono3d_check_hook import Mono3DCheckHook
from .patience_hook import PatienceHook
from .picture_hook import PictureHook

__all__ = ['Mono3DCheckHook', 'PatienceHook', 'PictureHook']
