"""Find out what a checkpoint is, convert it, and load it strictly."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from mmengine.logging import print_log
from torch import Tensor

from lvt_dense.checkpoints.layout import Layout, Target
from lvt_dense.checkpoints.read import read_state_dict
from lvt_dense.errors import UserError

FamilyType = TypeVar('FamilyType', bound='Family')
SHOWN = 5  # keys that a report names in full
OWN = 'lvt_dense'
OWN_PREFIXES = ('', 'backbone.', 'img_backbone.')


class Family(Protocol):
    """What the class of a backbone says of its checkpoints."""

    __name__: str
    layouts: tuple[Layout, ...]


class Backbone(Protocol):
    """What a backbone has to offer to be filled."""

    layouts: tuple[Layout, ...]
    arch_settings: dict[str, dict[str, Any]]
    settings: dict[str, Any]

    def state_dict(self) -> dict[str, Tensor]: ...

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True
    ) -> Any: ...

    def adapt_state(
        self, state: Mapping[str, Tensor]
    ) -> dict[str, Tensor]: ...

    def flip_input_channels(self) -> None: ...


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

    @property
    def is_complete(self) -> bool:
        """Whether every tensor of the backbone was filled."""
        return not self.missing and not self.mismatched

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
            else:
                self.loaded.append(key)

    def __str__(self) -> str:
        parts = [f'loaded {len(self.loaded)}']
        for title in ('missing', 'mismatched', 'unexpected'):
            keys = getattr(self, title)
            more = ', ...' if len(keys) > SHOWN else ''
            names = f': {", ".join(keys[:SHOWN])}{more}' if keys else ''
            parts.append(f'{title} {len(keys)}{names}')
        return (
            f'{self.source} ({self.layout} layout) -> {self.target}: '
            + '; '.join(parts)
        )


def identify(
    keys: Iterable[str], families: Iterable[FamilyType]
) -> tuple[FamilyType, Layout, str] | None:
    """Tell family, layout and key prefix from the keys of a checkpoint.

    Args:
        keys: Keys of all its tensors.
        families: Classes that it may be of.

    Returns:
        The first match, None if there is none.
    """
    keys = set(keys)
    for family in families:
        for layout in family.layouts:
            prefix = layout.prefix_of(keys)
            if prefix is not None:
                return family, layout, prefix
    return None


def convert(
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
    """What a layout has to know of a backbone."""
    shapes = {key: value.shape for key, value in backbone.state_dict().items()}
    return Target(backbone.settings, shapes)


def load_backbone(
    backbone: Backbone,
    checkpoint: str,
    flip_stem: bool = False,
    map_location: str | None = None,
    families: Iterable[Family] = (),
) -> LoadReport:
    """Fill a backbone from a checkpoint in an official layout or our own.

    Args:
        backbone: The backbone.
        checkpoint: Path or URL.
        flip_stem: Reverse the input channels of the first layer: weights
            trained on BGR images then take RGB ones, or the other way round.
        map_location: Accepted as in MMEngine's ``PretrainedInit``; tensors
            are copied into the parameters wherever these are.
        families: Other families, to name the one of a file that is not of
            this backbone's.

    Returns:
        The report; tensors that the backbone has no place for, such as those
        of levels that were not asked for, are listed, and are no error.

    Raises:
        UserError: The checkpoint is of another family or of no known layout,
            or a tensor of the backbone would stay unfilled.
    """
    state = read_state_dict(checkpoint)
    expected = backbone.state_dict()
    own, unknown, layout = _own_tensors(backbone, state, checkpoint, families)
    own = backbone.adapt_state(own)
    report = LoadReport(str(checkpoint), _title(backbone), layout)
    report.unexpected = list(unknown)
    report.compare(own, expected)
    if not report.is_complete:
        raise UserError(f'checkpoint does not fit: {report}')
    backbone.load_state_dict({k: own[k] for k in report.loaded}, strict=False)
    if flip_stem:
        backbone.flip_input_channels()
    print_log(str(report), logger='current')
    return report


def _title(backbone: Backbone) -> str:
    for name, settings in backbone.arch_settings.items():
        if settings == backbone.settings:
            return f'{type(backbone).__name__} {name}'
    return f'{type(backbone).__name__} of custom architecture'


def _own_tensors(
    backbone: Backbone,
    state: dict[str, Tensor],
    source: str,
    families: Iterable[Family],
) -> tuple[dict[str, Tensor], list[str], str]:
    expected = backbone.state_dict()
    for prefix in OWN_PREFIXES:
        own = {
            key[len(prefix) :]: value
            for key, value in state.items()
            if key.startswith(prefix)
        }
        # Half of the keys: an own file of another size is still reported on.
        if 2 * len(own.keys() & expected.keys()) > len(expected):
            return own, [], OWN
    found = identify(state, (type(backbone), *families))
    if found is None:
        raise UserError(
            f'checkpoint {source} is of no known layout; for '
            f'{type(backbone).__name__} there are '
            f'{", ".join([OWN, *(x.name for x in backbone.layouts)])}; its '
            f'first keys are {", ".join(list(state)[:SHOWN])}'
        )
    family, layout, prefix = found
    if family is not type(backbone):
        raise UserError(
            f'checkpoint {source} is of {family.__name__} ({layout.name} '
            f'layout), not of {type(backbone).__name__}'
        )
    own, unknown = convert(state, layout, prefix, target_of(backbone))
    return own, unknown, layout.name
