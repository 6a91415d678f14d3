"""Names of configs: what MMEngine needs to find ours."""

import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from mmengine.config import config as mmengine_config
from mmengine.hub import hub as mmengine_hub

OURS = 'lvt_dense'


def allow_flat_names() -> None:
    """Let MMEngine find ``lvt_dense::name.py``.

    Its pattern of such names wants a folder, as in ``mmdet::ssd/x.py``, and
    our configs lie in none; and it does not find the folder of an editable
    install in every version.
    """
    for module in (mmengine_config, mmengine_hub):
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
    original = getattr(module, name)
    if hasattr(original, '__wrapped__'):
        return

    @functools.wraps(original)
    def replaced(asked: str) -> Any:
        is_ours = asked.partition('::')[0] == OURS
        return answer(asked) if is_ours else original(asked)

    setattr(module, name, replaced)
