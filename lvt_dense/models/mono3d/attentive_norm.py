"""Attentive normalization (Li et al., ECCV 2020), as MonoCon's heads use it.

Batch normalization whose scale and shift are a mixture of K learned pairs,
weighted for every image by what the feature map itself looks like.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvt_dense.registry import MODELS

from .explicit_gradients import affine, moments, plain_affine, plain_moments


class _ImageBatchNorm(nn.BatchNorm2d):
    """Batch normalization over (N, C, 1, 1), for N = 1 as well.

    One image alone has no variance to train on: it is normalized by the
    running statistics, which it leaves as they are.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, 1, 1)."""
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


@MODELS.register_module()
class AttentiveBN(nn.Module):
    """Batch normalization with a mixture of affine transformations.

    The weights of the mixture come from mean over standard deviation of
    every channel, through a 1x1 convolution, an ordinary batch normalization
    and a hard sigmoid.

    Args:
        num_features: Channels C of the input.
        num_affines: Number K of scale and shift pairs.
        momentum: Momentum of the running statistics of the input. Those of
            the weights' normalization have PyTorch's default, and so its
            ``eps``, as in MonoCon's code.
        eps: Added to variances of the input.
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
            _ImageBatchNorm(num_affines),
            nn.Hardsigmoid(),
        )
        self.mixed_scale = nn.Parameter(torch.empty(num_affines, num_features))
        self.mixed_shift = nn.Parameter(torch.empty(num_affines, num_features))
        nn.init.normal_(self.mixed_scale, 1.0, 0.1)
        nn.init.normal_(self.mixed_shift, 0.0, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize (N, C, H, W)."""
        mean, var = moments(x) if self.training else plain_moments(x)
        standing = (mean * (var + self.eps).rsqrt()).to(x.dtype)
        mixture = self.attention(standing).flatten(1)
        x = self.norm(x)
        scale = (mixture @ self.mixed_scale).to(x.dtype)[..., None, None]
        shift = (mixture @ self.mixed_shift).to(x.dtype)[..., None, None]
        if self.training:
            return affine(x, scale, shift)
        return plain_affine(x, scale, shift)
