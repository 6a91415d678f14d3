"""Transforms of the data pipelines."""

from .loading import LoadImageFromFile
from .mono3d import (
    LoadAnnotations3D,
    Pack3DInputs,
    RandomCrop3D,
    RandomFlip3D,
    RandomShift3D,
    Resize3D,
)

__all__ = [
    'LoadAnnotations3D',
    'LoadImageFromFile',
    'Pack3DInputs',
    'RandomCrop3D',
    'RandomFlip3D',
    'RandomShift3D',
    'Resize3D',
]
