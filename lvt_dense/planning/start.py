"""Find the pretrained weights that a planned training can start from."""

from dataclasses import dataclass

from mmengine.config import Config

from lvt_dense.checkpoints.locate import locate
from lvt_dense.checkpoints.records import WeightFile
from lvt_dense.config import load_config
from lvt_dense.engine.official_weights import (
    NONE,
    backbones_of,
    use_pretrained,
)
from lvt_dense.engine.start import AUTO, choose_start
from lvt_dense.models.backbones.pretrained import (
    OFFICIAL,
    SWITCH,
    official_record,
    resolve,
)
from lvt_dense.utils.errors import UserError


@dataclass(frozen=True)
class PlannedStart:
    """What a training starts from.

    Attributes:
        weights: As ``--pretrained`` takes it; a description of a model that
            is loaded whole.
        reason: Why, in a few words.
        is_whole: Whether they are those of a whole model, its head included.
            The training loads them by itself, or as ``--start`` says; the
            config does not name them.
    """

    weights: str
    reason: str
    is_whole: bool = False

    @property
    def is_pretrained(self) -> bool:
        """Whether the weights are not random."""
        return self.weights != NONE


def find_start(
    cfg: Config, pretrained: str | None = None, start: str | None = None
) -> PlannedStart:
    """Find the weights that a training of a config will start from.

    Published weights are downloaded, unless they are in the cache.

    Args:
        cfg: The config, with its data.
        pretrained: Value of ``--pretrained``.
        start: Value of ``--start``; None is ``auto``.

    Raises:
        UserError: The start is not available, cannot be used, or is not the
            only one.
    """
    start = start or AUTO
    chosen = choose_start(load_config(cfg), start, pretrained)
    if pretrained is not None:
        return PlannedStart(pretrained, 'as --pretrained says')
    if start == NONE:
        return PlannedStart(NONE, 'as --start says')
    is_whole = chosen.path is not None
    if start != AUTO:
        return PlannedStart(start, 'as --start says', is_whole)
    if is_whole:
        return PlannedStart(
            chosen.lines[0].removeprefix('start: '), '', is_whole
        )
    return _find_backbones(cfg)


def _find_backbones(cfg: Config) -> PlannedStart:
    if cfg.get('load_from'):
        return PlannedStart(OFFICIAL, f'load_from is {cfg.load_from}')
    parts = list(backbones_of(cfg))
    if not parts or not all(part.is_ours for part in parts):
        return PlannedStart(NONE, 'its backbone has no official weights')
    names = []
    for part in parts:
        backbone = part.build_empty()
        record = official_record(backbone)
        if record is None:
            return PlannedStart(NONE, 'its backbone has no official weights')
        if not isinstance(resolve(backbone, OFFICIAL), WeightFile):
            return PlannedStart(NONE, f'{SWITCH} is none')
        try:
            locate(record)
        except UserError:
            return PlannedStart(
                NONE,
                f'{record.name} is not in the cache and cannot be downloaded; '
                f'"lvt-dense weights fetch {record.name}" shows the reason',
            )
        names.append(record.name)
    return PlannedStart(OFFICIAL, f'{", ".join(names)}, trained on ImageNet')


def use_start(cfg: Config, start: PlannedStart) -> None:
    """Write a start into a config.

    Args:
        cfg: Config; changed in place.
        start: Result of :func:`find_start`.
    """
    if not start.is_whole and not cfg.get('load_from'):
        use_pretrained(cfg, start.weights)
