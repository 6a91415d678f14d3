"""Monocular 3D detection: detector, heads, box coders and losses."""

from .attentive_norm import AttentiveBN
from .detector import Mono3DDetector
from .fcos3d_head import FCOS3DHead
from .monocon_head import MonoConHead

__all__ = ['AttentiveBN', 'FCOS3DHead', 'Mono3DDetector', 'MonoConHead']
