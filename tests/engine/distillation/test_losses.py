"""Losses against values computed by hand in NumPy."""

import numpy as np
import pytest
import torch
from torch import Tensor

from lvt_dense.engine.distillation import losses


def softmax(x: np.ndarray, axis: int) -> np.ndarray:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def pair(*shape: int) -> tuple[Tensor, Tensor]:
    numbers = torch.Generator().manual_seed(0)
    made = [3 * torch.randn(shape, generator=numbers) for _ in range(2)]
    return made[0], made[1]


def test_channel_wise_divergence() -> None:
    ours, theirs = pair(2, 3, 4, 5)
    p, q = (
        softmax(x.numpy().astype(float).reshape(2, 3, 20) / 4, 2)
        for x in (theirs, ours)
    )
    expected = 16 * (p * np.log(p / q)).sum(2).mean()
    found = losses.channel_wise_divergence(ours, theirs, 4.0)
    assert found.item() == pytest.approx(expected, rel=1e-5)
    # Each channel is judged by where it looks, not by how high it is.
    shifted = ours + torch.tensor([1.0, -2.0, 5.0]).view(3, 1, 1)
    again = losses.channel_wise_divergence(shifted, theirs, 4.0)
    assert again.item() == pytest.approx(expected, rel=1e-4)


def test_pearson_distance_is_one_minus_the_correlation() -> None:
    ours, theirs = pair(2, 3, 4, 5)
    rows = [x.numpy().transpose(1, 0, 2, 3).reshape(3, -1) for x in
            (ours, theirs)]  # fmt: skip
    correlations = [np.corrcoef(a, b)[0, 1] for a, b in zip(*rows)]
    found = losses.pearson_distance(ours, theirs)
    assert found.item() == pytest.approx(1 - np.mean(correlations), rel=1e-4)
    scaled = losses.pearson_distance(7 * ours + 3, theirs)
    assert scaled.item() == pytest.approx(found.item(), rel=1e-4)
    one = torch.ones(1, 2, 1, 1)
    assert losses.pearson_distance(one, 2 * one).item() == 0


def test_softmax_and_sigmoid_divergence() -> None:
    ours, theirs = pair(4, 5)
    a, b = ours.numpy().astype(float) / 2, theirs.numpy().astype(float) / 2
    p, q = softmax(b, 1), softmax(a, 1)
    assert np.allclose(
        losses.softmax_divergence(ours, theirs, 2.0),
        4 * (p * np.log(p / q)).sum(1),
        rtol=1e-4,
    )
    p, q = 1 / (1 + np.exp(-b)), 1 / (1 + np.exp(-a))
    assert np.allclose(
        losses.sigmoid_divergence(ours, theirs, 2.0),
        4 * (p * np.log(p / q) + (1 - p) * np.log((1 - p) / (1 - q))),
        rtol=1e-3,
        atol=1e-6,
    )


@pytest.mark.parametrize(
    'loss',
    [
        lambda a, b: losses.channel_wise_divergence(a, b, 4.0),
        losses.pearson_distance,
        lambda a, b: losses.softmax_divergence(a, b, dim=1).mean(),
        lambda a, b: losses.sigmoid_divergence(a, b).mean(),
    ],
)
def test_agreement_is_zero_and_pulls_nowhere(loss: object) -> None:
    assert callable(loss)
    ours = pair(2, 3, 4, 5)[0].requires_grad_()
    found = loss(ours, ours.detach())
    found.backward()
    assert abs(found.item()) < 1e-6
    assert ours.grad is not None and ours.grad.abs().max() < 1e-5


def test_weights_of_positions() -> None:
    ours = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    weights = losses.union(ours, torch.tensor([0.0, 0.5, 0.0]))
    assert weights.tolist() == [0.0, 0.75, 1.0]
    assert not weights.requires_grad
    values = torch.tensor([9.0, 1.0, 2.0])
    expected = (0.75 + 2) / 1.75
    found = losses.weighted_mean(values, weights)
    assert found.item() == pytest.approx(expected)
    assert losses.weighted_mean(values, torch.zeros(3)).item() == 0


def test_teacher_is_resized_to_the_student() -> None:
    theirs = torch.arange(4.0).view(1, 1, 2, 2)
    ours = torch.zeros(1, 1, 4, 4)
    found = losses.resize_like(theirs, ours)
    assert found.shape == ours.shape
    # bilinear, with corners of pixels aligned
    assert found[0, 0, 0].tolist() == [0.0, 0.25, 0.75, 1.0]
    assert losses.resize_like(theirs, theirs) is theirs
