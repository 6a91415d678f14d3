"""Hooks of the runner."""

from .exact_resume_hook import ReplayHook
from .finite_loss_hook import FiniteLossHook
from .mono3d_check_hook import Mono3DCheckHook
from .patience_hook import PatienceHook
from .picture_hook import PictureHook

__all__ = [
    'FiniteLossHook',
    'Mono3DCheckHook',
    'PatienceHook',
    'PictureHook',
    'ReplayHook',
]
