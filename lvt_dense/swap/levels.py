"""What a backbone or a neck returns, found by running it once."""

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

IMAGE_SIDE = 128  # every stride up to 128 shows, and the run takes 0.1 s
NECK_SIDE = 512  # room for the extra levels of SSD; costs nothing on 'meta'


class Level(NamedTuple):
    """A feature map, described without its size."""

    channels: int
    stride: int


def build_part(cfg: Any, scope: str) -> nn.Module:
    """Build a part of a model without its weights, in eval mode.

    Args:
        cfg: Config of a module, or a list of them to run one after another.
        scope: Registry scope of the types in it, 'mmdet' or 'mmseg'.
    """
    cfgs = copy.deepcopy(cfg if isinstance(cfg, (list, tuple)) else [cfg])
    # Modules draw initial values; the caller's random numbers stay the same.
    devices = range(torch.cuda.device_count())
    with (
        torch.random.fork_rng(devices=devices),
        DefaultScope.overwrite_default_scope(scope),
    ):
        modules = [MODELS.build(_without_weights(c)) for c in cfgs]
    return nn.Sequential(*modules).eval() if len(modules) > 1 else modules[0]


def _without_weights(cfg: Any) -> Any:
    if isinstance(cfg, dict):
        for key in ('init_cfg', 'pretrained'):
            if key in cfg:
                cfg[key] = None
        for value in cfg.values():
            _without_weights(value)
    return cfg


@torch.no_grad()
def backbone_levels(backbone: nn.Module) -> list[Level]:
    """Levels of a backbone in training, in its own order.

    Some return more in training than in testing.
    """
    backbone.train()
    # Batch norm after a pooling needs two images.
    outs = backbone(torch.zeros(2, 3, IMAGE_SIDE, IMAGE_SIDE))
    return _described(outs, IMAGE_SIDE)


@torch.no_grad()
def neck_levels(neck: nn.Module, inputs: Sequence[Level]) -> list[Level]:
    """Levels of a neck that is fed with the given ones.

    Raises:
        Exception: Whatever the neck raises on such inputs.
    """
    neck.eval()
    try:
        maps = _maps(inputs, NECK_SIDE, 'meta')
        return _described(copy.deepcopy(neck).to('meta')(maps), NECK_SIDE)
    except Exception:  # deformable convolutions need real numbers
        return _described(neck(_maps(inputs, NECK_SIDE, 'cpu')), NECK_SIDE)


def _maps(levels: Sequence[Level], side: int, device: str) -> tuple:
    return tuple(
        torch.zeros(1, c, side // s, side // s, device=device)
        for c, s in levels
    )


def _described(outs: Any, side: int) -> list[Level]:
    if isinstance(outs, Tensor):
        outs = [outs]
    # A pooled vector has no size: its stride is the whole image.
    return [
        Level(out.shape[1], side // out.shape[3] if out.dim() == 4 else side)
        for out in outs
    ]


def position(levels: Sequence[Level], channels: int) -> int | None:
    """Index of the only level with so many channels, or None."""
    found = [i for i, level in enumerate(levels) if level.channels == channels]
    return found[0] if len(found) == 1 else None


def assumed_levels(part: dict[str, Any]) -> list[Level] | None:
    """Levels of a backbone that cannot be built, from what reads them.

    It is taken for a pyramid that ends at stride 32, as the classification
    networks of other packages are.

    Args:
        part: Config of the detector or segmenter.

    Returns:
        Its levels, or None if nothing lists their channels.
    """
    neck = part.get('neck')
    readers = neck if isinstance(neck, list) else [neck]
    readers += [head for key, head in part.items() if key.endswith('head')]
    for reader in readers:
        channels = isinstance(reader, dict) and reader.get('in_channels')
        if channels and not isinstance(channels, int) and len(channels) <= 4:
            strides = (4, 8, 16, 32)[-len(channels) :]
            return [Level(c, s) for c, s in zip(channels, strides)]
    return None


def brief(error: Exception) -> str:
    """An error of another package, for a message of one line."""
    text = ' '.join(str(error).split())[:120]
    return f'{type(error).__name__}: {text}' if text else type(error).__name__
