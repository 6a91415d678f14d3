"""``distillation`` of a config, and the options that set it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import suggest_or_list

from .imitation import KINDS
from .teachers import is_exported_teacher

KEYS = ('teacher', 'checkpoint', 'kind', 'weight', 'temperature')
NONE = 'none'


def use_teacher(
    cfg: Config,
    teacher: Sequence[str] | None = None,
    kind: str | None = None,
) -> None:
    """Set and check ``distillation`` of a config.

    Args:
        cfg: Config; changed in place. It may have ``distillation`` already, a
            dict of ``teacher`` (a config, or an exported file),
            ``checkpoint``, ``kind``, ``weight`` and ``temperature``.
        teacher: Config and checkpoint, or an exported file.
        kind: A name in :data:`.imitation.KINDS`; ``none`` for a teacher that
            only labels images.

    Raises:
        UserError: A setting is not one of those there are, or a file is
            missing.
    """
    settings = dict(cfg.get('distillation') or {})
    if teacher is not None:
        settings.update(_read(teacher))
    if kind is not None:
        if not settings.get('teacher'):
            raise UserError(f'--distill {kind} needs --teacher')
        settings['kind'] = kind
    if not settings:
        return
    _check(settings)
    cfg.distillation = ConfigDict(settings)


def _read(teacher: Sequence[str]) -> dict[str, str | None]:
    given = ' '.join(teacher)
    if is_exported_teacher(teacher[0]):
        if len(teacher) > 1:
            raise UserError(
                f'--teacher {given}: an exported file takes no checkpoint'
            )
        return dict(teacher=teacher[0], checkpoint=None)
    if len(teacher) != 2:
        raise UserError(
            f'--teacher {given}: give CONFIG CHECKPOINT, or one file that '
            'lvt-dense export --raw wrote'
        )
    return dict(teacher=teacher[0], checkpoint=teacher[1])


def _check(settings: dict[str, Any]) -> None:
    for key in settings:
        if key not in KEYS:
            raise UserError(
                f'distillation.{key}: {suggest_or_list(key, KEYS)}'
            )
    source, checkpoint = settings.get('teacher'), settings.get('checkpoint')
    if not source:
        raise UserError(
            'distillation.teacher is missing: give --teacher CONFIG CHECKPOINT'
        )
    kind = settings.get('kind')
    names = [*KINDS, NONE]
    if kind is not None and kind not in names:
        raise UserError(f'--distill {kind}: {suggest_or_list(kind, names)}')
    for key in ('weight', 'temperature'):
        value = settings.get(key)
        if value is not None and not (_is_number(value) and value > 0):
            raise UserError(
                f'distillation.{key}={value!r}: give a number above 0'
            )
    if not is_exported_teacher(source) and not checkpoint:
        raise UserError(
            f'distillation: the teacher {source} is a config, which needs a '
            'checkpoint'
        )
    path = source if is_exported_teacher(source) else str(checkpoint)
    is_local = '://' not in path and ('/' in path or Path(path).suffix)
    if is_local and not Path(path).is_file():
        raise UserError(f'--teacher: {path} does not exist')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
