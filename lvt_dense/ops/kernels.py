"""torchvision's kernels behind the functions of ``mmcv._ext``.

A wheel of torchvision holds compiled operators for the torch that it belongs
to. On a GPU they are far faster than functions in PyTorch; on a CPU ours are
faster, and stay. The raw operators are called, because torchvision's Python
has slow forms of its own for deterministic algorithms.
"""

import functools
import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

DEVICES = ('cuda',)
# By the names of this package. roi_pool rounds regions in another way.
KERNELS = ('nms', 'roi_align', 'deform_conv', 'modulated_deform_conv')
NOT_DETERMINISTIC = KERNELS[1:]  # their gradients are added atomically


@functools.cache
def torchvision_loads() -> bool:
    """Tell whether torchvision is there and has kernels for this torch.

    Beside another build of torch, its import ends in one of several errors.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            import torchvision  # noqa: F401
        torch.ops.torchvision.nms  # noqa: B018
        torch.ops.torchvision._deform_conv2d_backward  # noqa: B018
    except (ImportError, OSError, RuntimeError, AttributeError):
        return False
    return True


@functools.cache
def has_kernels(device_type: str) -> bool:
    """Tell whether torchvision loads and was built for a kind of device."""
    if not torchvision_loads():
        return False
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    return bool(has('torchvision::nms', device_type.upper()))


def matching_torchvision(version: str = torch.__version__) -> str:
    """Return the requirement of the torchvision that belongs to a torch.

    Each minor version of one belongs to one of the other: torchvision 0.15 to
    torch 2.0, and so on.
    """
    major, minor, *_ = version.split('.')
    if major != '2':
        return 'torchvision'
    return f'torchvision==0.{int(minor) + 15}.*'


def uses_torchvision(operator: str, device_type: str) -> bool:
    """Tell whether an operator runs on torchvision's kernel.

    Args:
        operator: One of :data:`KERNELS`; others have no kernel there.
        device_type: Of the tensors, such as ``cuda``.
    """
    if operator not in KERNELS or device_type not in DEVICES:
        return False
    if torch.are_deterministic_algorithms_enabled():
        return operator not in NOT_DETERMINISTIC and has_kernels(device_type)
    return has_kernels(device_type)


def nms(boxes: Tensor, iou_threshold: float) -> Tensor:
    """Return the ranks that are kept, (K,), ascending.

    Args:
        boxes: (N, 4), in descending order of their scores. They are ordered
            beforehand, because equal scores would have another order here.
        iou_threshold: A box is dropped above this IoU with a kept one.
    """
    boxes = _single(boxes)
    ranks = torch.arange(len(boxes), 0, -1, device=boxes.device).to(boxes)
    kept: Tensor = torch.ops.torchvision.nms(boxes, ranks, iou_threshold)
    return kept


def roi_align(
    maps: Tensor,
    rois: Tensor,
    bins: tuple[int, int],
    scale: float,
    ratio: int,
    aligned: bool,
) -> Tensor:
    """Return the means, (N, C, *bins); see :func:`.roi_align_forward`."""
    maps = _single(maps)
    pooled: Tensor = torch.ops.torchvision.roi_align(
        maps, rois.to(maps), scale, *bins, ratio, aligned
    )
    return pooled


def roi_align_backward(
    grad: Tensor,
    rois: Tensor,
    size: Sequence[int],
    bins: tuple[int, int],
    scale: float,
    ratio: int,
    aligned: bool,
) -> Tensor:
    """Return the gradient of the maps, of shape `size`."""
    grad = _single(grad)
    found: Tensor = torch.ops.torchvision._roi_align_backward(
        grad, rois.to(grad), scale, *bins, *size, ratio, aligned
    )
    return found


def deform_conv(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    settings: Sequence[int],
) -> Tensor:
    """Return the output of a deformable convolution.

    Args:
        input: (B, C, H, W).
        weight: (O, C / groups, h, w).
        offset: (B, 2 * deform_groups * h * w, P, Q).
        mask: (B, deform_groups * h * w, P, Q), for version 2.
        bias: (O,).
        settings: Vertical and horizontal stride, padding and dilation,
            groups, deform_groups.

    Returns:
        (B, O, P, Q).
    """
    tensors = _deform_inputs(input, weight, offset, mask, bias)
    output: Tensor = torch.ops.torchvision.deform_conv2d(
        *tensors, *settings, mask is not None
    )
    return output


def deform_conv_backward(
    grad: Tensor,
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
    settings: Sequence[int],
) -> tuple[Tensor, ...]:
    """Return the gradients of input, weight, offset, mask and bias."""
    tensors = _deform_inputs(input, weight, offset, mask, bias)
    found: tuple[Tensor, ...] = torch.ops.torchvision._deform_conv2d_backward(
        grad.to(tensors[0]).contiguous(),
        *tensors,
        *settings,
        mask is not None,
    )
    return found


def _deform_inputs(
    input: Tensor,
    weight: Tensor,
    offset: Tensor,
    mask: Tensor | None,
    bias: Tensor | None,
) -> list[Tensor]:
    """Bring all to one type; the kernel reads them without a check."""
    input = _single(input)
    if mask is None:
        mask = input.new_zeros(len(input), 1)
    if bias is None:
        bias = input.new_zeros(len(weight))
    others = (x.to(input).contiguous() for x in (weight, offset, mask, bias))
    return [input.contiguous(), *others]


def _single(x: Tensor) -> Tensor:
    """Return half precision as float32: coordinates need its digits."""
    half = x.dtype in (torch.float16, torch.bfloat16)
    return x.detach().float() if half else x.detach()
