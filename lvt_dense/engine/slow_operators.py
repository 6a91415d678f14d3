"""Say at the start of a training that slow operators will hold it up."""

import logging

from mmengine.logging import print_log
from torch import nn

from lvt_dense.ops import operator_forms
from lvt_dense.ops.kernels import KERNELS, matching_torchvision

# Layers of mmcv.ops by their names: importing it is left to those who use it.
LAYERS = dict(
    RoIAlign='roi_align',
    DeformConv2d='deform_conv',
    ModulatedDeformConv2d='modulated_deform_conv',
)


def find_slow_operators(model: nn.Module, device_type: str) -> list[str]:
    """List what a training step runs in pure PyTorch and could run faster.

    Args:
        model: Whose layers are looked at.
        device_type: Where it trains, such as ``cuda``.

    Returns:
        Names of operators, those of :data:`.KERNELS`; none on a CPU, where
        the pure forms are the faster ones.
    """
    if device_type != 'cuda':
        return []
    used = {
        LAYERS[kind.__name__]
        for module in model.modules()
        for kind in type(module).__mro__
        if kind.__name__ in LAYERS and kind.__module__.startswith('mmcv.ops')
    }
    if getattr(model, 'rpn_head', None) is not None:
        used.add('nms')  # of the proposals
    forms = operator_forms(device_type) if used else {}
    return [k for k in KERNELS if k in used and forms[k] == 'pytorch']


def warn_of_slow_operators(model: nn.Module, device_type: str) -> None:
    """Log a warning if a training on a GPU will be held up.

    Args:
        model: To be trained, not wrapped.
        device_type: Where it trains.
    """
    slow = find_slow_operators(model, device_type)
    if slow:
        print_log(
            f'{", ".join(slow)} run in pure PyTorch on the GPU, which slows '
            'this training down; faster ones come with '
            f"`pip install '{matching_torchvision()}'`",
            logger='current',
            level=logging.WARNING,
        )
