"""Class weights and ignored pixels together."""

import torch
from torch.nn import functional as F

from lvt_dense.models.losses import WeightedCrossEntropy

WEIGHTS = [0.5, 2.0, 3.0]


def test_equals_pytorch_and_ignores_pixels():
    torch.manual_seed(0)
    logits = torch.randn(2, 3, 4, 5)
    labels = torch.randint(0, 3, (2, 4, 5))
    labels[0, :2] = 255
    loss = WeightedCrossEntropy(WEIGHTS, loss_weight=0.4)(logits, labels)
    expected = F.cross_entropy(
        logits, labels, torch.tensor(WEIGHTS), ignore_index=255
    )
    torch.testing.assert_close(loss, 0.4 * expected)


def test_nothing_to_learn_is_zero_and_finite():
    logits = torch.randn(1, 3, 2, 2, requires_grad=True)
    labels = torch.full((1, 2, 2), 255)
    loss = WeightedCrossEntropy(WEIGHTS)(logits, labels)
    loss.backward()
    assert loss == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))
