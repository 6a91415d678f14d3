"""Linear layers that a CPU computes as convolutions."""

import pytest
import torch
from torch import nn

from lvt_dense.models.layers import linear, project


@pytest.fixture(autouse=True)
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the convolution on any CPU, for few tokens too."""
    monkeypatch.setattr(linear, 'MKL_IS_SLOW', True)
    monkeypatch.setattr(linear, 'MIN_PRODUCTS', 0)


def is_convolution(x: torch.Tensor, layer: nn.Module) -> bool:
    return linear._is_faster_as_convolution(x, layer)


@pytest.mark.parametrize('bias', [False, True])
@pytest.mark.parametrize('length', [1, 2, 197])
def test_equals_a_matrix_product(length: int, bias: bool) -> None:
    layer = nn.Linear(6, 5, bias)
    x = torch.randn(3, length, 6)
    with torch.inference_mode():
        assert is_convolution(x, layer)
        assert torch.allclose(project(x, layer), layer(x), atol=1e-6)
        part = torch.randn(3, length, 8)[..., 1:7]  # strided tokens
        assert torch.allclose(project(part, layer), layer(part), atol=1e-6)


def test_training_and_other_inputs_keep_to_the_matrix_product() -> None:
    layer, x = nn.Linear(6, 5), torch.randn(1, 4, 6)
    assert not is_convolution(x, layer)
    with torch.no_grad():
        assert not is_convolution(x[0], layer)
        assert not is_convolution(x.bfloat16(), layer)
        assert not is_convolution(x[..., :5], nn.Linear(5, 6))
        with torch.autocast('cpu', torch.bfloat16):
            assert not is_convolution(x, layer)


@torch.no_grad()
def test_layers_that_do_more_are_called() -> None:
    layer, x, seen = nn.Linear(6, 5), torch.randn(1, 4, 6), []
    layer.register_forward_hook(lambda *args: seen.append(args[2]))
    assert project(x, layer) is seen[0]
    quantized = torch.ao.quantization.quantize_dynamic(nn.Sequential(layer))
    assert torch.allclose(project(x, quantized[0]), seen[0], atol=0.1)
