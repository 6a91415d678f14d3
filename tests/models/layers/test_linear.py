"""The linear layer that a CPU computes as a convolution."""

import pytest
import torch
from torch import nn

from lvt_dense.models.layers import Linear, linear


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the convolution on any CPU, for few tokens too."""
    monkeypatch.setattr(linear, 'MKL_IS_SLOW', True)
    monkeypatch.setattr(linear, 'MIN_PRODUCTS', 0)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('length', [1, 2, 197])
def test_equals_a_matrix_product(length: int, bias: bool) -> None:
    layer = Linear(6, 5, bias)
    x = torch.randn(3, length, 6)
    expected = nn.Linear.forward(layer, x)
    with torch.inference_mode():
        assert layer._suits(x)
        assert torch.allclose(layer(x), expected, atol=1e-6)
        part = torch.randn(3, length, 8)[..., 1:7]  # strided tokens
        expected = nn.Linear.forward(layer, part)
        assert torch.allclose(layer(part), expected, atol=1e-6)


def test_training_and_other_inputs_keep_to_the_matrix_product() -> None:
    layer = Linear(6, 5)
    assert not layer._suits(torch.randn(1, 4, 6))
    with torch.no_grad():
        assert not layer._suits(torch.randn(4, 6))
        assert not layer._suits(torch.randn(1, 4, 6).bfloat16())
        assert not Linear(5, 6)._suits(torch.randn(1, 4, 5))
        with torch.autocast('cpu', torch.bfloat16):
            assert not layer._suits(torch.randn(1, 4, 6))


def test_keeps_the_state_of_a_linear_layer() -> None:
    layer = Linear(6, 5)
    layer.load_state_dict(nn.Linear(6, 5).state_dict())
    assert isinstance(layer, nn.Linear)
