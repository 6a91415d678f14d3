"""Linear layers over tokens, at the full speed of a CPU."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIN_PRODUCTS = 10_000_000  # below, a convolution starts too slowly


def _mkl_is_slow() -> bool:
    """Tell whether this is an AMD CPU whose vectors MKL leaves half empty."""
    cpu = Path('/proc/cpuinfo')
    return (
        torch.backends.mkldnn.is_available()
        and 'AVX512' in torch.backends.cpu.get_cpu_capability()
        and cpu.is_file()
        and 'AuthenticAMD' in cpu.read_text()
    )


MKL_IS_SLOW = _mkl_is_slow()


def project(x: Tensor, layer: nn.Linear) -> Tensor:
    """Apply a linear layer; on an AMD CPU, in inference, as a convolution.

    PyTorch leaves matrix products in single precision to MKL, which uses half
    of the width of AMD's AVX-512 vectors, and convolutions to oneDNN, which
    uses all of it: twice the speed (measured by
    ``projects/benchmarks/speed_tricks.py``). A token is then two pixels in a
    row, under a kernel of two pixels; the stride matters, as without it, and
    for 1x1 convolutions, oneDNN takes a slower way. The backward pass would
    be slower too: training keeps to the matrix product.

    Args:
        x: Tokens, (B, L, C); other shapes are left to ``layer``.
        layer: The layer; a quantized or otherwise replaced one is called.

    Returns:
        ``layer(x)``.
    """
    if not _is_faster_as_convolution(x, layer):
        return layer(x)
    pixels = x.unflatten(2, (2, -1)).permute(0, 3, 1, 2)
    weight = layer.weight.unflatten(1, (2, -1)).transpose(1, 2)
    out = F.conv2d(pixels, weight.unsqueeze(2), layer.bias, stride=(1, 2))
    return out.squeeze(3).transpose(1, 2)


def _is_faster_as_convolution(x: Tensor, layer: nn.Module) -> bool:
    return (
        MKL_IS_SLOW
        and not torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and type(layer) is nn.Linear
        and not layer._forward_hooks
        and not layer._forward_pre_hooks
        and x.device.type == 'cpu'
        and not torch.is_autocast_enabled('cpu')
        and x.dtype == layer.weight.dtype == torch.float32
        and x.ndim == 3
        and layer.in_features % 2 == 0
        and x.numel() * layer.out_features >= MIN_PRODUCTS
    )
