"""Operators of PyTorch that coremltools lacks, or gives another type."""

from functools import cache
from typing import Any

import torch
from torch.nn import functional


@cache
def register_operators() -> None:
    """Add them to the converter; later calls change nothing."""
    from coremltools.converters.mil import Builder
    from coremltools.converters.mil.frontend.torch.ops import _get_inputs
    from coremltools.converters.mil.frontend.torch.torch_op_registry import (
        register_torch_op,
    )
    from coremltools.converters.mil.mil import types

    @register_torch_op(override=True)
    def addcmul(context: Any, node: Any) -> None:
        """Add a product, which may have a factor."""
        x, first, second, *factor = _get_inputs(context, node)
        product = Builder.mul(x=first, y=second)
        if factor and factor[0].val != 1:
            product = Builder.mul(x=product, y=float(factor[0].val))
        context.add(Builder.add(x=x, y=product, name=node.name))

    @register_torch_op(override=True)
    def floor_divide(context: Any, node: Any) -> None:
        """Divide; whole numbers stay whole, and can be an index."""
        x, y = _get_inputs(context, node, expected=2)
        if not (types.is_int(x.dtype) and types.is_int(y.dtype)):
            x, y = (Builder.cast(x=value, dtype='fp32') for value in (x, y))
        context.add(Builder.floor_div(x=x, y=y, name=node.name))

    @register_torch_op(override=True)
    def linalg_cross(context: Any, node: Any) -> None:
        """Multiply vectors, by their components in turn."""
        a, b, *dim = _get_inputs(context, node)
        axis = dim[0].val if dim else -1
        (a1, a2), (b1, b2) = (
            [
                Builder.gather(x=x, indices=turn, axis=axis)
                for turn in ([1, 2, 0], [2, 0, 1])
            ]
            for x in (a, b)
        )
        ahead, back = Builder.mul(x=a1, y=b2), Builder.mul(x=a2, y=b1)
        context.add(Builder.sub(x=ahead, y=back, name=node.name))

    @register_torch_op(override=True)
    def upsample_bicubic2d(context: Any, node: Any) -> None:
        """Resize a constant, such as a position embedding, once and for all.

        Raises:
            NotImplementedError: A map that is not constant.
        """
        x, size, corners, *_ = _get_inputs(context, node)
        if x.val is None:
            raise NotImplementedError('bicubic interpolation of maps')
        value = functional.interpolate(
            torch.from_numpy(x.val),
            tuple(int(n) for n in size.val),
            mode='bicubic',
            align_corners=bool(corners.val),
        )
        context.add(Builder.const(val=value.numpy(), name=node.name))
