"""What a backbone returns, and who reads it: neck and heads."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import Tensor, nn

from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import describe_error

IMAGE_SIDE = 128  # every stride up to 128 shows, and the run takes 0.1 s
NECK_SIDE = 512  # room for the extra levels of SSD; costs nothing on 'meta'
Channels = int | Sequence[int]

# Arguments of models that read no level of the trained backbone.
NO_HEADS = (
    'backbone',
    'neck',
    'data_preprocessor',
    'teacher_backbone',
    'teacher_neck',
    'teacher_bbox_head',
)


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
def backbone_levels(backbone: nn.Module, cfg: dict[str, Any]) -> list[Level]:
    """Run a backbone and describe its levels, in its own order.

    Args:
        backbone: The backbone; it is set to training, as some return more
            levels there than in testing.
        cfg: Its config, which has the channels of the images.
    """
    backbone.train()
    # Batch norm after a pooling needs two images.
    size = 2, cfg.get('in_channels', 3), IMAGE_SIDE, IMAGE_SIDE
    return _describe(backbone(torch.zeros(size)), IMAGE_SIDE)


@torch.no_grad()
def neck_levels(neck: nn.Module, inputs: Sequence[Level]) -> list[Level]:
    """Run a neck on maps of the given levels and describe its own.

    Raises:
        Exception: Whatever the neck raises on such inputs.
    """
    neck.eval()
    try:
        maps = _maps(inputs, NECK_SIDE, 'meta')
        return _describe(copy.deepcopy(neck).to('meta')(maps), NECK_SIDE)
    except Exception:  # deformable convolutions need real numbers
        return _describe(neck(_maps(inputs, NECK_SIDE, 'cpu')), NECK_SIDE)


def _maps(levels: Sequence[Level], side: int, device: str) -> tuple:
    return tuple(
        torch.zeros(1, c, side // s, side // s, device=device)
        for c, s in levels
    )


def _describe(outs: Any, side: int) -> list[Level]:
    if isinstance(outs, Tensor):
        outs = [outs]
    # A pooled vector has no size: its stride is the whole image.
    return [
        Level(out.shape[1], side // out.shape[3] if out.dim() == 4 else side)
        for out in outs
    ]


def position(levels: Sequence[Level], channels: int) -> int | None:
    """Find the only level with so many channels; None for none or several."""
    found = [i for i, level in enumerate(levels) if level.channels == channels]
    return found[0] if len(found) == 1 else None


def guess_levels(part: dict[str, Any]) -> list[Level] | None:
    """Guess the levels of a backbone that cannot be built from their readers.

    It is taken for a pyramid that ends at stride 32, as the classification
    networks of other packages are.

    Args:
        part: Config of the detector or segmenter.

    Returns:
        Its levels, or None if nothing lists their channels.
    """
    neck = part.get('neck')
    readers = [neck] if isinstance(neck, dict) else list(neck or [])
    readers += [head for _, head in find_predictors(part)]
    for reader in readers:
        channels = isinstance(reader, dict) and reader.get('in_channels')
        if channels and not isinstance(channels, int) and len(channels) <= 4:
            strides = (4, 8, 16, 32)[-len(channels) :]
            return [Level(c, s) for c, s in zip(channels, strides)]
    return None


def find_predictors(part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Find what a detector or segmenter has besides backbone and neck.

    Args:
        part: Its config.

    Yields:
        The argument and its value: the config of a module, or a list of
        them.
    """
    for key, value in part.items():
        nodes = value if isinstance(value, (list, tuple)) else [value]
        typed = [isinstance(n, dict) and 'type' in n for n in nodes]
        if key not in NO_HEADS and typed and all(typed):
            yield key, value


def rewire(
    part: dict[str, Any],
    path: str,
    old: list[Level],
    new: list[Level],
    scope: str,
) -> None:
    """Adapt everything in a part that reads the backbone.

    Args:
        part: Config of a detector or segmenter; changed in place.
        path: Its name in messages.
        old: Levels that the old backbone returned.
        new: Levels, of the same strides, that the new one returns.
        scope: Registry scope of the types in it.

    Raises:
        UserError: A reader needs what the new backbone has not; the message
            names it.
    """
    _make_predicting(part, scope)
    if part.get('neck'):
        old, new = _rewire_neck(part['neck'], f'{path}.neck', old, new, scope)
    if old == new:
        return
    for key, head in find_predictors(part):
        before = copy.deepcopy(head)
        _rewire_head(head, f'{path}.{key}', old, new)
        if head == before or _fault(before, scope) is not None:
            continue
        fault = _fault(head, scope)
        if fault is not None:
            raise UserError(
                f'{path}.{key} cannot be built with other channels than '
                f'those of the old backbone: {fault}'
            )


def _make_predicting(part: dict[str, Any], scope: str) -> None:
    """Put our SSD heads in the place of mmdet's, which train only.

    See :class:`lvt_dense.models.dense_heads.SSDLiteHead`; their arguments and
    tensors are the same.
    """
    head = part.get('bbox_head')
    if not isinstance(head, dict) or scope != 'mmdet':
        return
    from mmdet.models.dense_heads import PISASSDHead, SSDHead

    with DefaultScope.overwrite_default_scope(scope):
        try:
            kind = find_class(MODELS, head)
        except UserError:  # of a package that is not installed
            return
    ours = {SSDHead: 'SSDLiteHead', PISASSDHead: 'PISASSDHead'}
    if kind in ours and not hasattr(kind, 'loss_cls'):
        head['type'] = f'lvt_dense.{ours[kind]}'


def _rewire_neck(
    neck: Any, path: str, old: list[Level], new: list[Level], scope: str
) -> tuple:
    """Adapt the neck; return what it gave before and what it gives now."""
    first, where = neck, path
    if isinstance(neck, (list, tuple)):
        first, where = neck[0], f'{path}[0]'
    if 'rfp_backbone' in first:  # an argument of MMDetection's RFP
        raise UserError(
            f'{where}.rfp_backbone: a {first["type"]} runs a second backbone '
            'that is made for the first one'
        )
    try:
        before = neck_levels(build_part(neck, scope), old)
    except Exception:
        # Nothing to compare with: an operator that needs a GPU, for example.
        before = None
    replaced: Any = renumber(first.get('in_channels'), old, new, where)
    given = first.get('out_channels')
    if isinstance(given, (list, tuple)) and _passes_on(first, before):
        # SSD's neck repeats the levels of the backbone in out_channels.
        count = len(first['in_channels'])
        first['out_channels'] = type(given)([*replaced, *given[count:]])
    first['in_channels'] = replaced
    if before is None:
        return [], []
    try:
        after = neck_levels(build_part(neck, scope), new)
    except Exception as error:
        raise UserError(
            f'{where}: {first["type"]} does not work with the channels '
            f'{replaced}: {describe_error(error)}'
        ) from error
    return before, after


def _fault(head: Any, scope: str) -> str | None:
    """Say why a head, or a list of them, cannot be built by itself."""
    try:
        build_part(head, scope)
    except Exception as error:
        return describe_error(error)
    return None


def _passes_on(neck: dict[str, Any], outputs: Any) -> bool:
    given, out = neck['in_channels'], neck['out_channels']
    if not isinstance(given, (list, tuple)) or outputs is None:
        return False
    repeats = list(out[: len(given)]) == list(given)
    return repeats and len(out) == len(outputs)


def _rewire_head(
    head: Any, path: str, old: list[Level], new: list[Level]
) -> None:
    if isinstance(head, (list, tuple)):
        for index, each in enumerate(head):
            _rewire_head(each, f'{path}[{index}]', old, new)
        return
    if 'bbox_roi_extractor' in head:
        part = 'shared_head' if 'shared_head' in head else 'bbox_roi_extractor'
        raise UserError(
            f'{path}.{part}: it reads the backbone without a neck between, '
            'and is made for the channels of the old one'
        )
    if 'in_channels' in head:
        _set_inputs(head, path, old, new)
    for key, value in head.items():
        # K-Net wraps a whole decode head in another
        if isinstance(value, dict) and 'in_index' in value:
            _set_inputs(value, f'{path}.{key}', old, new)


def _set_inputs(
    head: dict[str, Any], path: str, old: list[Level], new: list[Level]
) -> None:
    given = head['in_channels']
    index = head.get('in_index')
    if index is None:
        head['in_channels'] = renumber(given, old, new, path)
    else:
        indices = index if isinstance(index, (list, tuple)) else [index]
        wanted = given if isinstance(given, (list, tuple)) else [given]
        if [old[i].channels for i in indices] != list(wanted):
            raise UserError(
                f'{path}.in_channels={given} is not what it reads with '
                f'in_index={index}: the old backbone gives '
                f'{[level.channels for level in old]}'
            )
        channels = [new[i].channels for i in indices]
        single = not isinstance(given, (list, tuple))
        head['in_channels'] = channels[0] if single else type(given)(channels)
    if head.get('c1_in_channels'):  # DeepLabv3+ also reads the finest level
        head['c1_in_channels'] = new[0].channels


def renumber(
    given: Channels, old: Sequence[Level], new: Sequence[Level], path: str
) -> Channels:
    """Replace old channel numbers by new ones, in the order they are in.

    Args:
        given: ``in_channels`` of a neck or head.
        old: Levels with the numbers in it.
        new: Levels to replace them by.
        path: Name of the neck or head in messages.

    Raises:
        UserError: The numbers are not those of the old levels.
    """
    if isinstance(given, (list, tuple)):
        if list(given) == [level.channels for level in old]:
            return type(given)([level.channels for level in new])
        found = [position(old, channels) for channels in given]
        indices = [index for index in found if index is not None]
        if len(indices) == len(found):
            return type(given)([new[index].channels for index in indices])
    elif isinstance(given, int):
        index = position(old, given)
        if index is not None:
            return new[index].channels
    raise UserError(
        f'{path}.in_channels={given} does not say which of the levels with '
        f'{[level.channels for level in old]} channels it reads'
    )
