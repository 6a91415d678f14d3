"""Names of configs: what MMEngine needs to find ours."""

import functools
from types import ModuleType
from typing import Callable, Tuple

from mmengine.config import config as mmengine_config
from mmengine.config import utils as mmengine_utils
from mmengine.hub import hub as mmengine_hub

PARSER = '_get_package_and_cfg_path'


def allow_flat_names() -> None:
    """Let ``lvt_dense::name.py`` through MMEngine's parser of such names.

    Its pattern wants a folder, as in ``mmdet::ssd/ssd300_coco.py``, and our
    configs lie in none. Every module that has imported the parser is told.
    """
    modules = (mmengine_config, mmengine_utils, mmengine_hub)
    for module in modules:
        _replace(module)


def _replace(module: ModuleType) -> None:
    parse: Callable[[str], Tuple[str, str]] = getattr(module, PARSER)
    if hasattr(parse, '__wrapped__'):
        return

    @functools.wraps(parse)
    def parse_flat(cfg_path: str) -> Tuple[str, str]:
        package, _, inner = cfg_path.partition('::')
        if package == 'lvt_dense':
            return package, inner
        return parse(cfg_path)

    setattr(module, PARSER, parse_flat)
