"""Transforms of the data pipelines."""

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
    'Pack3DInputs',
    'RandomCrop3D',
    'RandomFlip3D',
    'RandomShift3D',
    'Resize3D',
]
