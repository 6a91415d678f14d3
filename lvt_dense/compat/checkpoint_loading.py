"""Let MMEngine load checkpoints without running code in them."""

import logging
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlparse

import torch
from mmengine.logging import print_log

from lvt_dense.utils.config_text import find_code
from lvt_dense.utils.safe_load import safe_load
from lvt_dense.utils.text import shorten


def forbid_code(module: ModuleType) -> None:
    """Let MMEngine's module of checkpoints run nothing that is in a file.

    It reads every file with ``torch.load``, and falls back to unpickling
    whatever is in it; ``load_url`` of PyTorch does so at once.

    Args:
        module: ``mmengine.runner.checkpoint``, just imported.
    """
    module.torch = _Torch()  # type: ignore[attr-defined]
    module.load_url = load_url  # type: ignore[attr-defined]


class _Torch:
    """Torch, with a ``load`` that reads data alone."""

    @staticmethod
    def load(file: Any, map_location: Any = None, **kwargs: Any) -> Any:
        """Read a checkpoint; options that would run it are without effect."""
        return load(file, map_location)

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)


def load(file: Any, map_location: Any = None) -> Any:
    """Read a checkpoint for MMEngine, and say what is left out of it."""
    left_out: set[str] = set()
    content = safe_load(file, map_location, left_out)
    meta = content.get('meta') if isinstance(content, dict) else None
    if isinstance(meta, dict) and meta.pop('config', None) is not None:
        # which the runner would execute when it resumes
        left_out.add('meta.config')
    if isinstance(content, dict):
        left_out.update(_leave_out_programs(content))
    if left_out:
        print_log(
            f'{getattr(file, "name", file)} holds objects besides tensors '
            f'and numbers, which are left out: {shorten(sorted(left_out))}',
            logger='current',
            level=logging.WARNING,
        )
    return content


def _leave_out_programs(content: dict) -> Iterator[str]:
    """Remove configs that are more than values.

    Inferencers of MMEngine execute the text where they are given weights and
    no config.

    Yields:
        Where such a text stood, and what is in it.
    """
    for keys in (('meta',), ('message_hub', 'runtime_info')):
        part: Any = content
        for key in keys:
            part = part.get(key) if isinstance(part, dict) else None
        if not isinstance(part, dict) or part.get('cfg') is None:
            continue
        code = find_code(part['cfg'])
        if code is not None:
            del part['cfg']
            yield f'{".".join(keys)}.cfg, which runs {code}'


def load_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    **kwargs: Any,
) -> Any:
    """Download a checkpoint as ``torch.hub`` does, and read it as data.

    Args:
        url: Address of the file.
        model_dir: Folder to keep it in; by default torch's.
        map_location: As in ``torch.load``.
        progress: Show how far the download is.
        check_hash: Compare the file with the hash in its name.
        file_name: Name to keep it under; by default that of the URL.
        **kwargs: Options that would run what is in the file.
    """
    folder = Path(model_dir or Path(torch.hub.get_dir(), 'checkpoints'))
    name = file_name or Path(urlparse(url).path).name
    path = folder / name
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        match = torch.hub.HASH_REGEX.search(name) if check_hash else None
        torch.hub.download_url_to_file(
            url, str(path), match and match.group(1), progress=progress
        )
    return load(str(path), map_location)
