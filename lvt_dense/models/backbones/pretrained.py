"""Find out what a checkpoint is, convert it, and load it strictly."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from lvt_dense.checkpoints.cache import DownloadError
from lvt_dense.checkpoints.layout import Layout, Target, find_prefixes
from lvt_dense.checkpoints.read import Checkpoint, read_checkpoint
from lvt_dense.checkpoints.records import WeightFile
from lvt_dense.utils.errors import UserError

# The class of a backbone, of which the layouts and published files are asked;
# the base class imports this module, so it has no better name here.
Family = type[Any]
SHOWN = 5  # keys that a report names in full
OWN = 'lvt_dense'
OFFICIAL = 'official'
# Set to ``none``, training starts from random weights wherever a config asks
# for published ones: for machines without network, and for tests.
SWITCH = 'LVT_DENSE_PRETRAINED'


class Backbone(Protocol):
    """What a backbone has to offer to be filled."""

    layouts: tuple[Layout, ...]
    weights: Mapping[str, tuple[WeightFile, ...]]
    arch_settings: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the tensors by name."""

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> Any:
        """Fill the tensors."""

    def adapt_state(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Change tensors of another grid or channel number to fit."""

    def convert_foreign(
        self, state: Mapping[str, Tensor]
    ) -> dict[str, Tensor] | None:
        """Convert a file of no known layout."""

    def flip_input_channels(self) -> None:
        """Swap BGR and RGB in the first layer."""


@dataclass
class LoadReport:
    """What became of the tensors of a checkpoint and of a backbone."""

    source: str
    target: str
    layout: str
    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    not_finite: list[str] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether every tensor of the backbone was filled with numbers."""
        return not (self.missing or self.mismatched or self.not_finite)

    def compare(
        self, given: Mapping[str, Tensor], expected: Mapping[str, Tensor]
    ) -> None:
        """Sort the tensors of a file by how they fit those of a model."""
        self.unexpected += [key for key in given if key not in expected]
        for key, value in expected.items():
            if key not in given:
                # Counters of batch norm are absent from older files.
                if not key.endswith('num_batches_tracked'):
                    self.missing.append(key)
            elif given[key].shape != value.shape:
                shapes = f'{tuple(given[key].shape)}, not {tuple(value.shape)}'
                self.mismatched.append(f'{key} {shapes}')
            elif not torch.isfinite(given[key]).all():
                self.not_finite.append(key)
            else:
                self.loaded.append(key)

    def __str__(self) -> str:
        parts = [f'loaded {len(self.loaded)}']
        for title in ('missing', 'mismatched', 'not_finite', 'unexpected'):
            keys = getattr(self, title)
            if title == 'not_finite' and not keys:
                continue
            title = title.replace('_', ' ')
            more = ', ...' if len(keys) > SHOWN else ''
            names = f': {", ".join(keys[:SHOWN])}{more}' if keys else ''
            parts.append(f'{title} {len(keys)}{names}')
        return (
            f'{self.source} ({self.layout} layout) -> {self.target}: '
            + '; '.join(parts)
        )


def identify(
    keys: Iterable[str], families: Iterable[Any]
) -> tuple[Family, Layout, str] | None:
    """Tell family, layout and key prefix from the keys of a checkpoint.

    Args:
        keys: Keys of all its tensors.
        families: Classes that it may be of.

    Returns:
        The first match, None if there is none.

    Raises:
        UserError: The keys are of several backbones.
    """
    keys = set(keys)
    for family in families:
        for layout in family.layouts:
            prefixes = layout.prefixes_of(keys)
            if len(prefixes) > 1:
                raise UserError(_several(prefixes))
            if prefixes:
                return family, layout, prefixes[0]
    return None


def convert_state(
    state: Mapping[str, Tensor],
    layout: Layout,
    prefix: str = '',
    target: Target | None = None,
) -> tuple[dict[str, Tensor], list[str]]:
    """Bring official tensors to our names.

    Args:
        state: All tensors of the checkpoint.
        layout: Its layout.
        prefix: What stands before the keys of the backbone; tensors without
            it belong to a head, and are left out.
        target: The backbone that is to be filled, see
            :meth:`Layout.to_own`.

    Returns:
        Our tensors, and the official keys that are unknown.
    """
    inner = {
        key[len(prefix) :]: value
        for key, value in state.items()
        if key.startswith(prefix)
    }
    return layout.to_own(inner, target)


def target_of(backbone: Backbone) -> Target:
    """Describe a backbone to a layout."""
    shapes = {key: value.shape for key, value in backbone.state_dict().items()}
    return Target(backbone.settings, shapes)


def load_backbone(
    backbone: Backbone,
    checkpoint: str,
    flip_stem: bool = False,
    map_location: str | None = None,
    prefix: str | None = None,
    families: Iterable[Family] = (),
) -> LoadReport | None:
    """Fill a backbone from a checkpoint in an official layout or our own.

    Args:
        backbone: The backbone.
        checkpoint: ``'official'`` for the published weights of the variant,
            the name of a record, or anything that
            :func:`lvt_dense.checkpoints.locate.locate` takes.
        flip_stem: Reverse the input channels of the first layer: weights
            trained on BGR images then take RGB ones, or the other way round.
        map_location: Accepted as in MMEngine's ``PretrainedInit``; tensors
            are copied into the parameters wherever these are.
        prefix: What stands before the keys of the backbone in the file. It
            is found without; only a file that holds several backbones needs
            it.
        families: Other families, to name the one of a file that is not of
            this backbone's, and to know the names of their records.

    Returns:
        The report; tensors that the backbone has no place for, such as those
        of levels that were not asked for, are listed, and are no error. None
        if published weights were asked for, and the variable
        ``LVT_DENSE_PRETRAINED`` is ``none``.

    Raises:
        UserError: The checkpoint cannot be had, is of another family or of no
            known layout, or a tensor of the backbone would stay unfilled.
    """
    families = tuple(families)
    source = resolve(backbone, checkpoint, families)
    if source is None:
        print_log(
            f'{title_of(backbone)} starts from random weights: {SWITCH} is '
            'none',
            logger='current',
        )
        return None
    found = _read(source, prefix)
    own, unknown, layout = _own_tensors(backbone, found, families)
    own = backbone.adapt_state(own)
    report = LoadReport(_name_of(source, found), title_of(backbone), layout)
    report.unexpected = list(unknown)
    report.compare(own, backbone.state_dict())
    if not report.is_complete:
        raise UserError(f'checkpoint does not fit: {report}')
    backbone.load_state_dict({k: own[k] for k in report.loaded}, strict=False)
    if flip_stem:
        backbone.flip_input_channels()
    print_log(str(report), logger='current')
    return report


def read_tensors(
    backbone: Backbone,
    source: str | WeightFile,
    prefix: str | None = None,
    families: Iterable[Family] = (),
) -> dict[str, Tensor]:
    """Read the tensors of a file under our keys, without loading them.

    Args:
        backbone: The backbone that is to be filled.
        source: Result of :func:`resolve`.
        prefix: See :func:`load_backbone`.
        families: See :func:`load_backbone`.

    Raises:
        UserError: The file cannot be had, is of another family or of no known
            layout.
    """
    return _own_tensors(backbone, _read(source, prefix), families)[0]


def resolve(
    backbone: Backbone, checkpoint: str, families: Iterable[Family] = ()
) -> str | WeightFile | None:
    """Find the record that the name of a checkpoint stands for.

    Args:
        backbone: The backbone that is to be filled.
        checkpoint: See :func:`load_backbone`.
        families: Families whose records may be asked for by name.

    Returns:
        The record; the name itself if it is a file, a URL or the like; None
        if published weights are switched off.

    Raises:
        UserError: The backbone has no official weights.
    """
    is_off = is_switched_off()
    if checkpoint == OFFICIAL:
        if is_off:
            return None
        record = official_record(backbone)
        if record is None:
            raise UserError(
                f'{title_of(backbone)} has no official weights; there are '
                f'some for {_list(backbone.weights) or "no variant"}: name a '
                'file or URL, or start from random weights with --pretrained '
                'none (init_cfg=None in a config)'
            )
        return record
    tables = [backbone.weights, *(family.weights for family in families)]
    for table in tables:
        for records in table.values():
            for record in records:
                if record.name == checkpoint:
                    return None if is_off else record
    return checkpoint


def is_switched_off() -> bool:
    """Whether trainings start from random weights instead of published ones.

    The variable ``LVT_DENSE_PRETRAINED`` says so.
    """
    return os.environ.get(SWITCH, OFFICIAL).lower() == 'none'


def official_record(backbone: Backbone) -> WeightFile | None:
    """Return the official weights of a backbone's variant, if any."""
    records = backbone.weights.get(variant_of(backbone) or '', ())
    return records[0] if records else None


def variant_of(backbone: Backbone) -> str | None:
    """Return the name of the variant, or None for a custom one."""
    for name, settings in backbone.arch_settings.items():
        if settings == backbone.settings:
            return name
    return None


def adapt_backbones(
    model: nn.Module, state: Mapping[str, Tensor], kind: type[Any]
) -> dict[str, Tensor]:
    """Fit the tensors of a whole model to the arguments of its backbones.

    Args:
        model: A detector, segmenter or the like.
        state: Tensors of its checkpoint, by our keys.
        kind: Class of the backbones.

    Returns:
        The tensors, see :meth:`PyramidBackbone.adapt_state`.
    """
    adapted = dict(state)
    for name, module in model.named_modules():
        if isinstance(module, kind):
            prefix = f'{name}.' if name else ''
            inner = {
                key[len(prefix) :]: value
                for key, value in state.items()
                if key.startswith(prefix)
            }
            if inner:
                fitted = module.adapt_state(inner)
                adapted |= {prefix + k: v for k, v in fitted.items()}
    return adapted


def title_of(backbone: Backbone) -> str:
    """Return the name of a backbone for messages."""
    variant = variant_of(backbone) or 'of custom architecture'
    return f'{type(backbone).__name__} {variant}'


def _read(source: str | WeightFile, prefix: str | None) -> Checkpoint:
    try:
        found = read_checkpoint(source)
    except DownloadError as error:
        raise UserError(
            f'{error}; --pretrained none starts from random weights'
        ) from error
    if prefix is None:
        return found
    state = found.under(prefix)
    if not state:
        raise UserError(
            f'checkpoint {found.path} has no key that begins with {prefix!r}; '
            f'its first keys are {_list(found.state)}'
        )
    return Checkpoint(state, found.path, found.wrapper, prefix)


def _name_of(source: str | WeightFile, found: Checkpoint) -> str:
    if isinstance(source, WeightFile):
        return f'{source.name} of {source.source}, {found}'
    return (
        str(found) if str(found.path) == str(source) else f'{source}, {found}'
    )


def _own_tensors(
    backbone: Backbone,
    found: Checkpoint,
    families: Iterable[Family],
) -> tuple[dict[str, Tensor], list[str], str]:
    """Return tensors under our keys, unknown official keys, and the layout."""
    state, path = found.state, found.path
    own = _without_own_prefix(state, backbone.state_dict())
    if own is not None:
        return own, [], OWN
    # its own layouts may depend on the variant
    match = identify(state, [backbone, *families])
    if match is None:
        own = backbone.convert_foreign(state)
        if own is not None:
            return own, [], 'foreign'
        raise UserError(
            f'checkpoint {path} has an unknown layout; for '
            f'{type(backbone).__name__} there are '
            f'{", ".join([OWN, *(x.name for x in backbone.layouts)])}; its '
            f'first keys are {_list(state)}'
        )
    family, layout, prefix = match
    if family not in (backbone, type(backbone)):
        raise UserError(
            f'checkpoint {path} is of {family.__name__} ({layout.name} '
            f'layout), not of {type(backbone).__name__}'
        )
    own, unknown = convert_state(state, layout, prefix, target_of(backbone))
    return own, unknown, layout.name


def _without_own_prefix(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> dict[str, Tensor] | None:
    """Return the tensors of a file in our own layout; None for another one."""
    prefixes = find_prefixes(state, expected)
    if len(prefixes) > 1:
        raise UserError(_several(prefixes))
    for prefix in prefixes:
        return {
            key[len(prefix) :]: value
            for key, value in state.items()
            if key.startswith(prefix)
        }
    return None


def _several(prefixes: Iterable[str]) -> str:
    return (
        'the checkpoint holds several backbones: choose one by prefix=, one '
        f'of {", ".join(map(repr, sorted(prefixes)))}'
    )


def _list(keys: Iterable[str]) -> str:
    keys = list(keys)
    return ', '.join(keys[:SHOWN]) + (', ...' if len(keys) > SHOWN else '')
