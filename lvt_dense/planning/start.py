"""Find the pretrained weights that a planned training can start from."""

from dataclasses import dataclass

from mmengine.config import Config

from lvt_dense.checkpoints.locate import locate
from lvt_dense.checkpoints.records import WeightFile
from lvt_dense.engine.official_weights import (
    NONE,
    backbones_of,
    use_pretrained,
)
from lvt_dense.models.backbones.pretrained import (
    OFFICIAL,
    SWITCH,
    official_record,
    resolve,
)
from lvt_dense.utils.errors import UserError


@dataclass(frozen=True)
class Start:
    """What a training starts from.

    Attributes:
        weights: As ``--pretrained`` takes it.
        reason: Why, in a few words.
    """

    weights: str
    reason: str

    @property
    def is_pretrained(self) -> bool:
        """Whether the weights are not random."""
        return self.weights != NONE


def find_start(cfg: Config, asked: str | None = None) -> Start:
    """Find the weights that the backbone of a config can start from.

    Official weights are downloaded, unless they are in the cache.

    Args:
        cfg: The config.
        asked: Value of ``--pretrained``; None takes the official weights if
            they are available.
    """
    if asked is not None:
        return Start(asked, 'as --pretrained says')
    if cfg.get('load_from'):
        return Start(OFFICIAL, f'load_from is {cfg.load_from}')
    parts = list(backbones_of(cfg))
    if not parts or not all(part.is_ours for part in parts):
        return Start(NONE, 'its backbone has no official weights')
    names = []
    for part in parts:
        backbone = part.build_empty()
        record = official_record(backbone)
        if record is None:
            return Start(NONE, 'its backbone has no official weights')
        if not isinstance(resolve(backbone, OFFICIAL), WeightFile):
            return Start(NONE, f'{SWITCH} is none')
        try:
            locate(record)
        except UserError:
            return Start(
                NONE,
                f'{record.name} is not in the cache and cannot be downloaded; '
                f'"lvt-dense weights fetch {record.name}" shows the reason',
            )
        names.append(record.name)
    return Start(OFFICIAL, f'{", ".join(names)}, trained on ImageNet')


def use_start(cfg: Config, start: Start) -> None:
    """Write a start into a config.

    Args:
        cfg: Config; changed in place.
        start: Result of :func:`find_start`.
    """
    if not cfg.get('load_from'):
        use_pretrained(cfg, start.weights)
