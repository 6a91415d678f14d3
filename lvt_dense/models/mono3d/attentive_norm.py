"""Attentive normalization (Li et al., ECCV 2020), as MonoCon's heads use it.

Batch normalization whose scale and shift are a mixture of K learned pairs,
weighted for every image by what the feature map itself looks like.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvt_dense.registry import MODELS


class _ImageBatchNorm(nn.BatchNorm2d):
    """Batch normalization over (N, C, 1, 1), for N = 1 as well.

    One image alone has no variance to train on: it is normalized by the
    running statistics, which it leaves as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.size(0) > 1:
            return super().forward(x)
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            eps=self.eps,
        )


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Means and variances (N, C, 1, 1) of maps (N, C, H, W), in float32."""
    mean = x.mean((2, 3), keepdim=True, dtype=torch.float32)
    # Six times as fast as torch.var_mean on a CPU.
    return mean, (x - mean).square_().mean((2, 3), keepdim=True)


# Their own gradients, written out, make a training step of the layer more
# than twice as fast as those that autograd derives: fewer passes over maps.
class _Moments(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, var = _moments(x)
        ctx.save_for_backward(x, mean)
        return mean, var

    @staticmethod
    def backward(ctx, grad_mean: Tensor, grad_var: Tensor) -> Tensor:
        x, mean = ctx.saved_tensors
        size = x.size(2) * x.size(3)
        slope = grad_var * (2 / size)
        return torch.addcmul(grad_mean / size - slope * mean, x, slope)


class _Affine(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        ctx.save_for_backward(x, scale)
        return torch.addcmul(shift, x, scale)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, scale = ctx.saved_tensors
        return (
            grad * scale,
            (grad * x).sum((2, 3), keepdim=True),
            grad.sum((2, 3), keepdim=True),
        )


@MODELS.register_module()
class AttentiveBN(nn.Module):
    """Batch normalization with a mixture of affine transformations.

    Args:
        num_features: channels C of the input.
        num_affines: number K of scale and shift pairs.
        momentum: of the running statistics.
        eps: added to variances.
    """

    _abbr_ = 'bn'

    def __init__(
        self,
        num_features: int,
        num_affines: int = 10,
        momentum: float = 0.03,
        eps: float = 1e-3,
    ) -> None:
        super().__init__()
        self.eps = eps
        self.norm = nn.BatchNorm2d(
            num_features, eps=eps, momentum=momentum, affine=False
        )
        self.attention = nn.Sequential(
            nn.Conv2d(num_features, num_affines, 1, bias=False),
            _ImageBatchNorm(num_affines, eps=eps, momentum=momentum),
            nn.Hardsigmoid(),
        )
        self.mixed_scale = nn.Parameter(torch.empty(num_affines, num_features))
        self.mixed_shift = nn.Parameter(torch.empty(num_affines, num_features))
        nn.init.normal_(self.mixed_scale, 1.0, 0.1)
        nn.init.normal_(self.mixed_shift, 0.0, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Normalizes (N, C, H, W)."""
        mean, var = _Moments.apply(x) if self.training else _moments(x)
        standing = (mean * (var + self.eps).rsqrt()).to(x.dtype)
        mixture = self.attention(standing).flatten(1)
        x = self.norm(x)
        scale = (mixture @ self.mixed_scale).to(x.dtype)[..., None, None]
        shift = (mixture @ self.mixed_shift).to(x.dtype)[..., None, None]
        if self.training:
            return _Affine.apply(x, scale, shift)
        return torch.addcmul(shift, x, scale)
