"""Class weights and ignored pixels together."""

from types import SimpleNamespace

import pytest
import torch
from mmseg.structures.sampler import OHEMPixelSampler
from torch.nn import functional as F

from lvt_dense.models.losses import WeightedCrossEntropy
from lvt_dense.utils.errors import UserError

WEIGHTS = [0.5, 2.0, 3.0]


def test_equals_pytorch_and_ignores_pixels() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5)
    labels = torch.randint(0, 3, (2, 4, 5))
    labels[0, :2] = 255
    loss = WeightedCrossEntropy(WEIGHTS, loss_weight=0.4)(logits, labels)
    expected = F.cross_entropy(
        logits, labels, torch.tensor(WEIGHTS), ignore_index=255
    )
    torch.testing.assert_close(loss, 0.4 * expected)


def test_nothing_to_learn_is_zero_and_finite() -> None:
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    labels = torch.full((1, 2, 2), 255)
    loss = WeightedCrossEntropy(WEIGHTS)(logits, labels)
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_hard_pixels_without_a_threshold() -> None:
    """MMSegmentation's OHEM asks for the loss of every pixel."""
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 4, 4)
    labels = torch.randint(0, 3, (1, 4, 4))
    labels[0, 0] = 255
    loss = WeightedCrossEntropy(WEIGHTS)
    head = SimpleNamespace(loss_decode=loss, ignore_index=255)
    sampler = OHEMPixelSampler(head, thresh=None, min_kept=5)
    weight = sampler.sample(logits, labels[:, None])
    every = F.cross_entropy(
        logits,
        labels,
        torch.tensor(WEIGHTS),
        ignore_index=255,
        reduction='none',
    )
    hardest = every.flatten().topk(5).indices
    expected = torch.zeros(16)
    expected[hardest] = 1
    assert torch.equal(weight.flatten(), expected)
    total = torch.tensor(WEIGHTS)[labels[labels != 255]].sum()
    torch.testing.assert_close(
        loss(logits, labels, weight), (every * weight).sum() / total
    )


def test_number_of_weights_is_checked() -> None:
    loss = WeightedCrossEntropy(WEIGHTS)
    with pytest.raises(UserError, match='has 3 numbers, but the head 4'):
        loss(torch.randn(1, 4, 2, 2), torch.zeros(1, 2, 2).long())
