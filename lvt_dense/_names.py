"""Names of configs: what MMEngine needs to find ours."""

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

OURS = 'lvt_dense'


def adapt(module: ModuleType) -> None:
    """Let a module of MMEngine find ``lvt_dense::name.py``.

    MMEngine takes the distribution of a package from a table that knows the
    original names only; its pattern of config names wants a folder, as in
    ``mmdet::ssd/x.py``, and our configs lie in none; and not every version
    finds the folder of an editable install.

    Args:
        module: A module of MMEngine that has just been imported.
    """
    table = getattr(module, 'MODULE2PACKAGE', None)
    if table is not None:
        # by import name, because the distribution may be onedl-* as well
        table['mmseg'] = 'mmseg'
        table[OURS] = OURS
    _answer_for_us(module, '_get_package_and_cfg_path', _split)
    _answer_for_us(module, 'get_installed_path', _folder)


def _split(name: str) -> tuple[str, str]:
    return OURS, name.partition('::')[2]


def _folder(package: str) -> str:
    return str(Path(__file__).parent)


def _answer_for_us(
    module: ModuleType, name: str, answer: Callable[[str], Any]
) -> None:
    """Replace a function of a module where it is asked about this package."""
    original = getattr(module, name, None)
    if original is None or hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def replaced(asked: str) -> Any:
        is_ours = asked.partition('::')[0] == OURS
        return answer(asked) if is_ours else original(asked)

    setattr(module, name, replaced)
