"""The published weights that the backbones of a training start from."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from lvt_dense.checkpoints.locate import locate
from lvt_dense.checkpoints.records import WeightFile, describe_input_norm
from lvt_dense.models.backbones import PyramidBackbone, T2TViT, families
from lvt_dense.models.backbones.pretrained import (
    OFFICIAL,
    SWITCH,
    official_record,
    read_tensors,
    resolve,
    title_of,
)
from lvt_dense.swap.backbone_slot import trained_parts
from lvt_dense.utils.errors import UserError

NONE = 'none'
# What the data preprocessors call the images that a network takes.
NORM_KEYS = ('mean', 'std', 'bgr_to_rgb')


class Part(NamedTuple):
    """A backbone in a config that is to be trained."""

    cfg: dict[str, Any]
    owner: dict[str, Any]
    path: str
    cls: type

    @property
    def is_ours(self) -> bool:
        """Whether it is a pyramid of this package."""
        return issubclass(self.cls, PyramidBackbone)

    @property
    def title(self) -> str:
        """What it is called in messages."""
        if not self.is_ours:
            return f'{self.path} ({self.cls.__name__})'
        return f'{self.path} ({title_of(self.build_empty())})'

    def build_empty(self) -> PyramidBackbone:
        """Build the backbone on the meta device, without memory."""
        settings = {
            key: value
            for key, value in self.cfg.items()
            if key not in ('type', 'init_cfg', 'pretrained')
        }
        try:
            with torch.device('meta'):
                return self.cls(**settings)
        except (TypeError, ValueError) as error:
            raise UserError(f'{self.path}: {error}') from error


def backbones_of(cfg: Config) -> Iterator[Part]:
    """Find the backbones of a config that are to be trained.

    Raises:
        UserError: The type of one is not known.
    """
    scope = cfg.get('default_scope') or 'mmengine'
    for owner, path in trained_parts(cfg.get('model') or {}):
        backbone = owner['backbone']
        kind = backbone['type']
        with MODELS.switch_scope_and_registry(scope) as registry:
            cls = registry.get(kind) if isinstance(kind, str) else kind
        if cls is None:
            raise UserError(f'{path}.backbone: there is no model {kind!r}')
        yield Part(backbone, owner, f'{path}.backbone', cls)


def use_pretrained(cfg: Config, source: str) -> None:
    """Choose the weights that the backbones of a config start from.

    Args:
        cfg: Config; changed in place.
        source: ``'official'`` for the published weights, ``'none'`` for
            random ones, otherwise a file, URL or the like, see
            :func:`lvt_dense.checkpoints.locate.locate`. Without weights
            nothing is frozen.

    Raises:
        UserError: A backbone has no official weights, or there is none.
    """
    parts = list(backbones_of(cfg))
    if not parts:
        raise UserError(f'--pretrained {source}: the model has no backbone')
    for part in parts:
        if source == NONE:
            _forget(part.cfg)
            part.cfg['init_cfg'] = None
            for node in (part.owner, cfg.model):
                if node.get('pretrained'):
                    node['pretrained'] = None
            if part.cfg.get('frozen_stages', -1) >= 0:
                part.cfg['frozen_stages'] = -1
            if part.cfg.get('norm_eval'):
                part.cfg['norm_eval'] = False
        elif source == OFFICIAL:
            _use_official(part)
        else:
            _forget(part.cfg)
            part.cfg['init_cfg'] = dict(type='Pretrained', checkpoint=source)


def _use_official(part: Part) -> None:
    if not part.is_ours:
        if _pretrained_of(part.cfg) or part.cfg.get('pretrained'):
            return
        raise UserError(
            f'--pretrained official: {part.title} is no backbone of '
            'lvt_dense, and its config names no weights: name a file or URL'
        )
    init = _pretrained_of(part.cfg)
    if init and _record_of(part, init['checkpoint']):
        return
    # raises where there are none
    resolve(part.build_empty(), OFFICIAL)
    part.cfg['init_cfg'] = dict(type='Pretrained', checkpoint=OFFICIAL)


def drop_replaced_weights(
    cfg: Config, unless: Callable[[Part], bool] = lambda part: False
) -> list[Part]:
    """Leave out weights that something else replaces; nothing is thawed.

    Args:
        cfg: Config; changed in place.
        unless: Says which backbones keep theirs.

    Returns:
        The backbones that had some.
    """
    parts = [
        part
        for part in backbones_of(cfg)
        if _pretrained_of(part.cfg) and not unless(part)
    ]
    for part in parts:
        _forget(part.cfg)
    return parts


def prepare_weights(cfg: Config, filled: Collection[str] = ()) -> list[str]:
    """Fetch the weights of a training before anything slow begins.

    Args:
        cfg: Config of a training that starts afresh.
        filled: Paths of backbones that something else fills.

    Returns:
        What each backbone starts from, a line each, and warnings.

    Raises:
        UserError: A file cannot be had.
    """
    lines = []
    for part in backbones_of(cfg):
        init = _pretrained_of(part.cfg)
        if part.path in filled:
            continue
        if init is None:
            lines += _random_start(part)
        elif not part.is_ours:
            lines.append(f'{part.title} starts from {init["checkpoint"]}')
        else:
            lines += _prepared(part, init, cfg)
    return lines


def _prepared(part: Part, init: dict[str, Any], cfg: Config) -> list[str]:
    source = resolve(
        part.build_empty(), init['checkpoint'], families().values()
    )
    if source is None:
        return [
            f'{part.title} starts from random weights: {SWITCH} is none',
            *_frozen_at_random(part),
        ]
    try:
        path = locate(source)
    except UserError as error:
        raise UserError(
            f'{error}; --pretrained none starts from random weights'
        ) from error
    grid = _take_grid(part, init, source)
    if not isinstance(source, WeightFile):
        return [f'{part.title} starts from {source} ({path})', *grid]
    line = (
        f'{part.title} starts from {source.name} of {source.source} '
        f'({source.describe_result()} as published; license: '
        f'{source.license or "none stated"}), {path}, published at '
        f'{source.url}'
    )
    return [line, *grid, *_other_images(part, init, source, cfg)]


def _take_grid(
    part: Part, init: Mapping[str, Any], source: str | WeightFile
) -> list[str]:
    """Set the image size of T2T-ViT's table of positions to that of a file.

    ``EMAHook`` copies the model before its weights are loaded, so the table
    must have its final shape from the beginning.

    Returns:
        A line for the log if the size changes.
    """
    if not issubclass(part.cls, T2TViT):
        return []
    backbone = part.build_empty()
    size = backbone.pretrain_size
    backbone.adapt_state(
        read_tensors(backbone, source, init.get('prefix'), families().values())
    )
    if backbone.pretrain_size == size:
        return []
    part.cfg['pretrain_size'] = backbone.pretrain_size
    return [
        f'{part.path}: pretrain_size={backbone.pretrain_size}, the size of '
        'the images that these weights were trained on'
    ]


def _random_start(part: Part) -> list[str]:
    if not part.is_ours:
        if part.cfg.get('pretrained'):
            return [f'{part.title} starts from {part.cfg["pretrained"]}']
        return [f'{part.title} starts from random weights']
    record = official_record(part.build_empty())
    hint = (
        f'; --pretrained official would load {record.name}' if record else ''
    )
    return [
        f'{part.title} starts from random weights{hint}',
        *_frozen_at_random(part),
    ]


def _frozen_at_random(part: Part) -> list[str]:
    frozen = part.cfg.get('frozen_stages', -1)
    if frozen < 0:
        return []
    return [
        f'WARNING: frozen_stages={frozen} of {part.path} keeps random weights '
        'as they are; --pretrained none frees them'
    ]


def _other_images(
    part: Part, init: dict[str, Any], record: WeightFile, cfg: Config
) -> list[str]:
    """Warn if the weights were trained on images of another kind."""
    if takes_same_images(cfg, record, init.get('flip_stem', False)):
        return []
    given = cfg.model.data_preprocessor
    expected = _norm_of(record, init.get('flip_stem', False))
    return [
        f'WARNING: {record.name} expects images in '
        f'{describe_input_norm(expected)}; data_preprocessor gives '
        f'{describe_input_norm(given)}'
    ]


def takes_same_images(
    cfg: Config, record: WeightFile, flip_stem: bool = False
) -> bool:
    """Tell whether a config gives images as a published file expects them.

    Args:
        cfg: Config; one that does not say passes.
        record: The file; one of which it is not known passes.
        flip_stem: Whether its channel order is swapped.
    """
    given = cfg.model.get('data_preprocessor') or {}
    if not record.input_norm or any(key not in given for key in NORM_KEYS):
        return True
    expected = _norm_of(record, flip_stem)
    return all(
        _numbers(given[key]) == _numbers(expected[key]) for key in NORM_KEYS
    )


def _norm_of(record: WeightFile, flip_stem: bool) -> dict[str, Any]:
    norm = dict(record.input_norm or {})
    if norm and flip_stem:
        norm['bgr_to_rgb'] = not norm['bgr_to_rgb']
    return norm


def _numbers(value: Any) -> Any:
    return list(map(float, value)) if not isinstance(value, bool) else value


def published_start(part: Part) -> WeightFile | None:
    """Return the published file that a backbone starts from, if any."""
    init = _pretrained_of(part.cfg)
    return _record_of(part, init['checkpoint']) if init else None


def _record_of(part: Part, checkpoint: str) -> WeightFile | None:
    """Return the record that a checkpoint names; None for a file or URL."""
    if not part.is_ours:
        return None
    found = resolve(part.build_empty(), checkpoint, families().values())
    return found if isinstance(found, WeightFile) else None


def _pretrained_of(node: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the entry of ``init_cfg`` that loads a checkpoint, if any."""
    init = node.get('init_cfg') or []
    for item in [init] if isinstance(init, dict) else init:
        if item.get('type') == 'Pretrained':
            return item
    return None


def _forget(node: dict[str, Any]) -> None:
    """Drop the checkpoints of a config and of all that is in it."""
    init = node.get('init_cfg')
    if isinstance(init, dict) and init.get('type') == 'Pretrained':
        node['init_cfg'] = None
    elif isinstance(init, (list, tuple)):
        node['init_cfg'] = [x for x in init if x.get('type') != 'Pretrained']
    if node.get('pretrained'):
        node['pretrained'] = None
    for value in node.values():
        for item in value if isinstance(value, (list, tuple)) else [value]:
            if isinstance(item, dict):
                _forget(item)
