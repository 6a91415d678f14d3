"""The table of all backbones, as Markdown.

Multiply-accumulates are those of the pyramid alone, attention counted, with
the variant's own settings (windows, where a family has them). Nothing is
computed for it: the tensors are on the meta device and have no values.
"""

from collections.abc import Iterable, Sequence

import torch
from torch.utils.flop_counter import FlopCounterMode

from lvt_dense.checkpoints.records import WeightFile
from lvt_dense.models.backbones import (
    PyramidBackbone,
    build_backbone,
    list_backbones,
)

SIZES = (224, 320, 512)
HEADER = (
    'backbone',
    'strides',
    'channels',
    'parameters',
    *(f'GMACs at {size}' for size in SIZES),
    'ImageNet top-1',
    "weights' license",
)
CAPTION = (
    'GMACs are those of the pyramid for one square image, attention counted. '
    '\\* as published for the classifier, not reproduced here.'
)


def macs(backbone: PyramidBackbone, height: int, width: int) -> int:
    """Count the multiply-accumulates of a backbone for one image.

    Convolutions, linear layers, matrix products and attention count; norms,
    activations and interpolation do not.

    Args:
        backbone: Backbone in eval mode and on the meta device: the counter
            does not know the fused attention of a CPU.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Half of the floating-point operations that PyTorch's counter finds.
    """
    image = torch.empty(1, 3, height, width, device='meta')
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        backbone(image)
    return counter.get_total_flops() // 2


def row(name: str, sizes: Iterable[int] = SIZES) -> list[str]:
    """Return the cells of the table for one backbone.

    Args:
        name: One of :func:`lvt_dense.list_backbones`.
        sizes: Sides of the square images to count for.
    """
    with torch.device('meta'):
        backbone = build_backbone(name).eval()
    arch = name[len(backbone.family) + 1 :]
    files = backbone.weights.get(arch, ())
    file = files[0] if files else None
    top1 = file.top1 if file else backbone.reported_top1.get(arch)
    return [
        f'`{name}`',
        ', '.join(map(str, backbone.out_strides)),
        ', '.join(map(str, backbone.out_channels)),
        f'{sum(p.numel() for p in backbone.parameters()):,}',
        *(f'{macs(backbone, size, size) / 1e9:.2f}' for size in sizes),
        '-' if top1 is None else f'{top1:g}*',
        _license_cell(file),
    ]


def _license_cell(file: WeightFile | None) -> str:
    if file is None:
        return 'no weights'
    return f'[{file.license or "none stated"}]({file.page or file.url})'


def format_backbones(
    rows: Sequence[Sequence[str]], columns: Sequence[str] = HEADER
) -> str:
    """Format rows of backbones as a Markdown table with its caption.

    Args:
        rows: Cells of all columns.
        columns: Those to show.
    """
    shown = [HEADER.index(column) for column in columns]
    marks = ['---' if i in (0, 1, 2, len(HEADER) - 1) else '---:'
             for i in range(len(HEADER))]  # fmt: skip
    lines = [
        f'| {" | ".join(line[i] for i in shown)} |'
        for line in (HEADER, marks, *rows)
    ]
    return '\n'.join([*lines, '', CAPTION])


def list_rows() -> list[list[str]]:
    """Return the cells of all backbones."""
    return [row(name) for name in list_backbones()]
