"""Monocular 3D detection: detector, heads, box coders and losses."""

from .attentive_norm import AttentiveBN
from .detector import Mono3DDetector
from .monocon_head import MonoConHead

__all__ = ['AttentiveBN', 'Mono3DDetector', 'MonoConHead']
