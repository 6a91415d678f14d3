"""Deterministic weights and inputs, by which two codes can be compared.

A tensor is a function of its official key and shape alone, so figures that
were measured with an official implementation can be checked without a
weight file. The figures are in ``tests/data``.
"""

import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

DATA = Path(__file__).parents[1] / 'data'


def figures(name: str) -> dict[str, Any]:
    """Figures of the official implementation of a family."""
    return json.loads((DATA / f'{name}.json').read_text())


def filled(key: str, shape: Sequence[int]) -> Tensor:
    """Value of the tensor under an official key."""
    rng = np.random.default_rng(zlib.crc32(key.encode()))
    if key.endswith('running_var'):
        value = 0.5 + rng.random(shape)
    elif key.endswith('running_mean'):
        value = 0.1 * rng.standard_normal(shape)
    elif 'rescale' in key:
        value = 1.0 + 0.5 * rng.standard_normal(shape)
    elif len(shape) >= 2:
        spread = 1.2 / np.prod(shape[1:]) ** 0.5
        value = rng.standard_normal(shape) * spread
    else:
        is_scale = key.endswith('weight')
        value = is_scale + 0.1 * rng.standard_normal(shape)
    return torch.from_numpy(np.asarray(value, dtype=np.float32))


def official_state(keys: dict[str, Sequence[int]]) -> dict[str, Tensor]:
    """State dict of an official implementation, without counters."""
    return {
        key: filled(key, shape)
        for key, shape in keys.items()
        if not key.endswith('num_batches_tracked')
    }


def image(height: int, width: int) -> Tensor:
    """Network input, (1, 3, H, W)."""
    rng = np.random.default_rng(0)
    value = rng.standard_normal((1, 3, height, width))
    return torch.from_numpy(value.astype(np.float32))


def difference(feature: Tensor, expected: dict[str, Any]) -> float:
    """Largest difference of the samples, over the level's deviation."""
    assert list(feature.shape) == expected['shape']
    samples = expected['samples']
    flat = feature.detach().double().reshape(-1).numpy()
    index = np.linspace(0, flat.size - 1, len(samples)).round().astype(int)
    return float(np.abs(flat[index] - samples).max() / expected['std'])
