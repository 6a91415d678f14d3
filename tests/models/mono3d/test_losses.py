import math

import pytest
import torch
from torch import nn

from lvt_dense.models.mono3d.losses import (
    dimension_aware_l1,
    laplacian_depth_loss,
    mean_l1,
    uncertain_smooth_l1,
)


def test_dimension_aware_l1_has_the_value_of_l1_and_relative_gradients() -> (
    None
):
    pred = torch.tensor([[4.0, 1.0, 2.0]], requires_grad=True)
    target = torch.tensor([[5.0, 1.5, 1.0]])
    loss = dimension_aware_l1(pred, target)
    assert loss.item() == pytest.approx((1 + 0.5 + 1) / 3)
    loss.backward()
    # In the ratio of 1/4, 1/1 and 1/2, toward the target.
    assert (pred.grad / pred.grad[0, 0]).tolist() == [[1.0, 4.0, -2.0]]


def test_dimension_aware_l1_of_negative_sizes_still_pulls_upwards() -> None:
    pred = torch.tensor([[-0.5, 0.0, 1.0]], requires_grad=True)
    dimension_aware_l1(pred, torch.ones(1, 3) * 2).backward()
    assert (pred.grad < 0).all()


def test_dimension_aware_l1_of_perfect_sizes_is_zero_not_nan() -> None:
    pred = torch.ones(2, 3, requires_grad=True)
    loss = dimension_aware_l1(pred, torch.ones(2, 3))
    loss.backward()
    assert loss.item() == 0 and pred.grad.isfinite().all()


def test_laplacian_depth_loss() -> None:
    loss = laplacian_depth_loss(
        torch.tensor([10.0, 20.0]),
        torch.tensor([0.0, math.log(2)]),
        torch.tensor([11.0, 16.0]),
    )
    expected = (math.sqrt(2) + math.sqrt(2) / 2 * 4 + math.log(2)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_uncertain_smooth_l1() -> None:
    loss = uncertain_smooth_l1(
        torch.tensor([1.0, 9.0]),
        torch.tensor([2.0, 2.0]),
        torch.tensor([0.0, math.log(4)]),
        beta=3.0,
    )
    # Quadratic within beta: 1 / (2 * 3); linear beyond: 7 - 1.5.
    expected = (1 / 6 + 5.5 / 4 + math.log(4)) / 2
    assert loss.item() == pytest.approx(expected, rel=1e-6)


def test_l1_ignores_what_is_masked() -> None:
    pred = torch.zeros(1, 2, 2, requires_grad=True)
    target = torch.tensor([[[3.0, 5.0], [float('inf'), float('nan')]]])
    loss = mean_l1(pred, target, torch.tensor([[[True], [False]]]))
    loss.backward()
    assert loss.item() == 4.0
    assert pred.grad.tolist() == [[[-0.5, -0.5], [0.0, 0.0]]]


@pytest.mark.parametrize(
    'loss, shape',
    [
        (mean_l1, (0, 2)),
        (dimension_aware_l1, (0, 3)),
        (lambda p, t: laplacian_depth_loss(p, p, t), (0,)),
        (lambda p, t: uncertain_smooth_l1(p, t, p, 3.0), (0,)),
        (
            lambda p, t: mean_l1(p, t, torch.zeros(0, 9, 1).bool()),
            (0, 9, 2),
        ),
    ],
)
def test_without_objects_zero_that_reaches_the_prediction(
    loss: nn.Module, shape: tuple[int, ...]
) -> None:
    source = torch.ones(4, requires_grad=True)
    pred = source[:0].sum() + torch.zeros(shape)
    value = loss(pred, torch.zeros(shape))
    value.backward()
    assert value.item() == 0
    assert source.grad is not None and not source.grad.any()
