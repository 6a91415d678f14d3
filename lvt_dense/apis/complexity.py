"""Parameters, multiply-accumulates and activations of a model, by module."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from lvt_dense.compat.stack import import_stack
from lvt_dense.utils.errors import UserError


class Row(NamedTuple):
    """Cost of a module, its children included.

    Attributes:
        name: Dotted name; empty for the whole model.
        kind: Class of the module.
        parameters: Number of parameters.
        macs: Multiply-accumulates for one image.
        activations: Values that its convolutions and linear layers give out.
    """

    name: str
    kind: str
    parameters: int
    macs: int
    activations: int


def count_complexity(
    cfg: Config, size: Sequence[int] | None = None, depth: int = 1
) -> list[Row]:
    """Count the cost of a model's prediction on one image.

    Convolutions, linear layers and matrix products count, attention
    included; norms, activations, interpolation and the suppression of boxes
    do not. A two-stage detector sees as many proposals as its ``test_cfg``
    allows. No data set is read.

    Args:
        cfg: Config of the model.
        size: Height and width of the image; by default those of the test
            pipeline.
        depth: Levels of children that are listed.

    Returns:
        The whole model, then its modules in their order.

    Raises:
        UserError: The model does not predict on an image of this size.
    """
    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    model = MODELS.build(cfg.model).eval()
    height, width = size or test_size(cfg)
    counter, activations = _predict_and_count(
        model, torch.zeros(1, _channels(cfg), height, width)
    )
    counts = counter.get_flop_counts()
    root = type(model).__name__
    return [
        Row(
            name,
            type(module).__name__,
            sum(p.numel() for p in module.parameters()),
            _flops(counts, root, name) // 2,
            sum(n for key, n in activations.items() if _is_in(key, name)),
        )
        for name, module in model.named_modules()
        if (name.count('.') < depth or not name) and _counts(module)
    ]


def _predict_and_count(
    model: nn.Module, image: Tensor
) -> tuple[FlopCounterMode, dict[str, int]]:
    """Predict once; return the counted operations, and the activations."""
    height, width = image.shape[-2:]
    activations: dict[str, int] = {}
    for name, module in model.named_modules():
        if isinstance(module, (nn.Conv2d, nn.Linear, nn.ConvTranspose2d)):
            module.register_forward_hook(_counter(name, activations))
    # Fused attention is unknown to the counter.
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False, depth=None) as counter,
    ):
        try:
            model(image, [make_sample(model, height, width)], mode='predict')
        except (RuntimeError, ValueError, AssertionError) as error:
            raise UserError(
                f'{type(model).__name__} does not predict on an image of '
                f'{height}x{width} pixels: {error}'
            ) from error
    return counter, activations


def _counts(module: nn.Module) -> bool:
    return any(True for _ in module.parameters())


def _flops(counts: dict[str, Any], root: str, name: str) -> int:
    if not name:
        return sum(counts['Global'].values())
    return sum(counts.get(f'{root}.{name}', {}).values())


def _is_in(key: str, name: str) -> bool:
    return not name or key == name or key.startswith(f'{name}.')


def _counter(name: str, activations: dict[str, int]) -> Any:
    def count(module: nn.Module, inputs: Any, output: Tensor) -> None:
        activations[name] = activations.get(name, 0) + output.numel()

    return count


def _channels(cfg: Config) -> int:
    return int(cfg.model.get('backbone', {}).get('in_channels', 3))


def test_size(cfg: Config) -> tuple[int, int]:
    """Return height and width that the test pipeline resizes images to.

    Raises:
        UserError: It does not resize.
    """
    from lvt_dense.deploy.metadata import test_resize

    scale = test_resize(cfg)['scale']
    if scale is None:
        raise UserError(
            f'the test pipeline of {cfg.filename} does not resize images: '
            'give --size HxW'
        )
    return scale[1], scale[0]


def make_sample(model: nn.Module, height: int, width: int) -> Any:
    """Make the data sample of an image that no transform has changed."""
    from mmdet.models.detectors.base import BaseDetector
    from mmdet.structures import DetDataSample

    camera = torch.eye(4)
    camera[0, 0] = camera[1, 1] = width / 2
    meta = dict(
        img_shape=(height, width),
        ori_shape=(height, width),
        pad_shape=(height, width),
        batch_input_shape=(height, width),
        scale_factor=(1.0, 1.0),
        cam2img=camera.numpy(),
        img_id=0,
        flip=False,
    )
    if isinstance(model, BaseDetector):
        return DetDataSample(metainfo=meta)
    from mmseg.structures import SegDataSample

    return SegDataSample(metainfo=meta)


def format_rows(rows: Sequence[Row]) -> str:
    """Return the rows as a Markdown table."""
    lines = [
        '| module | type | parameters (M) | GMACs | activations (M) |',
        '| --- | --- | ---: | ---: | ---: |',
    ]
    for row in rows:
        lines.append(
            f'| {row.name or "(all)"} | {row.kind} '
            f'| {row.parameters / 1e6:.3f} | {row.macs / 1e9:.3f} '
            f'| {row.activations / 1e6:.3f} |'
        )
    return '\n'.join(lines)
