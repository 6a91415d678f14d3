"""Blocks that two or more families share."""

from .attention import Attention, attend
from .conv import ConvNormAct, InvertedResidual, make_divisible
from .memory import fast_layout
from .norm import LayerNorm2d
from .norm_act import (
    NormAct,
    fold_batch_norms,
    inner_modules,
    separate_activations,
    tensors_in,
)
from .precision import at_least_single
from .recompute import frozen_batch_statistics
from .squeeze_excite import SqueezeExcite
from .windows import Windows, even_side

__all__ = [
    'Attention',
    'ConvNormAct',
    'InvertedResidual',
    'LayerNorm2d',
    'NormAct',
    'SqueezeExcite',
    'Windows',
    'at_least_single',
    'attend',
    'even_side',
    'fast_layout',
    'fold_batch_norms',
    'frozen_batch_statistics',
    'inner_modules',
    'make_divisible',
    'separate_activations',
    'tensors_in',
]
