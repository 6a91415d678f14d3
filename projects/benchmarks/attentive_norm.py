"""A training step of attentive normalization, both ways.

    python projects/benchmarks/attentive_norm.py

Gradients written out, against those that autograd derives from the plain
forms.
"""

import time
from collections.abc import Callable
from unittest.mock import patch

import torch

from lvt_dense.models.mono3d import attentive_norm
from lvt_dense.models.mono3d.explicit_gradients import (
    plain_affine,
    plain_moments,
)


def measure(step: Callable[[], object], repeats: int = 5) -> float:
    """Return the least milliseconds of a step, after one to warm up."""
    times = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        step()
        times.append(time.perf_counter() - start)
    return min(times[1:]) * 1e3


def main() -> None:
    """Print the times of a training step with both forms."""
    torch.set_num_threads(1)
    norm = attentive_norm.AttentiveBN(64)
    x = torch.randn(8, 64, 96, 312, requires_grad=True)
    grad = torch.randn_like(x)
    print(f'written out {measure(lambda: norm(x).backward(grad)):.0f} ms')
    plain = dict(moments=plain_moments, affine=plain_affine)
    with patch.multiple(attentive_norm, **plain):
        print(f'plain {measure(lambda: norm(x).backward(grad)):.0f} ms')


if __name__ == '__main__':
    main()
