"""Find the file that a checkpoint's name stands for."""

import os
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

from mmengine import fileio

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

from .cache import DownloadError, fetch, path_of, record_of
from .published import WHOLE_MODELS
from .records import WeightFile

# What a folder of Hugging Face's hub calls the weights, the safe one first.
HUB_FILES = ('model.safetensors', 'pytorch_model.bin')
HUB_SCHEMES = ('hf', 'hf-hub')
_HUB_NAME = re.compile(r'[\w-][\w.-]*/[\w-][\w.-]*')
_FILE_SUFFIXES = ('.pth', '.pt', '.tar', '.bin', '.ckpt', '.safetensors')


def locate(source: str | Path | WeightFile) -> Path:
    """Find the file of a checkpoint, and download it if needed.

    Args:
        source: One of: a file; a folder that holds one of `HUB_FILES`; a URL
            (``https:``, ``http:``, ``file:``, or one that a storage backend
            of MMEngine serves); a repository of Hugging Face's hub, such as
            ``apple/mobilevit-small``, ``hf://apple/mobilevit-small`` or
            ``hf-hub:timm/mobilevit_s.cvnets_in1k``; the name of a published
            detector or segmenter, such as ``ssdlite_mobilevit_320_coco``; or
            a record.

    Returns:
        The path of the file.

    Raises:
        UserError: There is no such file, or it cannot be downloaded.
    """
    if isinstance(source, WeightFile):
        return fetch(source)
    text = str(source)
    try:
        url = urlparse(text)
    except ValueError as error:
        raise UserError(f'checkpoint {text}: {error}') from error
    if url.scheme in ('http', 'https'):
        return fetch(record_of(text))
    if url.scheme == 'file':
        return _existing(Path(url2pathname(unquote(url.path))), text)
    if url.scheme in HUB_SCHEMES:
        return _from_hub(text.partition(':')[2].lstrip('/'))
    if '://' in text:
        return _from_backend(text)
    path = Path(text).expanduser()
    named = {file.name: file for file in WHOLE_MODELS}
    if text in named and not path.exists():
        return fetch(named[text])
    if path.exists() or not _is_hub_name(text):
        return _existing(path, text)
    try:
        return _from_hub(text)
    except DownloadError as error:
        raise DownloadError(
            f'checkpoint {text} does not exist; as a repository of Hugging '
            f"Face's hub: {error}"
        ) from error


def _existing(path: Path, source: str) -> Path:
    if path.is_dir():
        for name in HUB_FILES:
            if (path / name).is_file():
                return path / name
        raise UserError(
            f'checkpoint {source} is a folder without '
            f'{" or ".join(HUB_FILES)}: name a file'
        )
    if not path.is_file():
        raise UserError(f'checkpoint {source} does not exist')
    return path


def _is_hub_name(text: str) -> bool:
    return bool(_HUB_NAME.fullmatch(text)) and not text.endswith(
        _FILE_SUFFIXES
    )


def hub_records(name: str) -> Iterator[WeightFile]:
    """Return records of the files that a hub repository may hold.

    Args:
        name: ``owner/repository``, with ``@revision`` where it is not main.
    """
    name, _, revision = name.partition('@')
    endpoint = os.environ.get('HF_ENDPOINT') or 'https://huggingface.co'
    files = HUB_FILES if find_spec('safetensors') else HUB_FILES[::-1]
    for file in files:
        url = f'{endpoint}/{name}/resolve/{revision or "main"}/{file}'
        yield WeightFile(
            name=f'{name.replace("/", "--")}--{record_of(url).name}',
            url=url,
            layout='',
            source=url,
            page=f'{endpoint}/{name}',
        )


def _from_hub(name: str) -> Path:
    faults = []
    for record in hub_records(name):
        try:
            return fetch(record)
        except DownloadError as error:
            faults.append(error)
    raise faults[0]


def _from_backend(url: str) -> Path:
    path = path_of(record_of(url))
    try:
        write_atomically(path, fileio.get(url))
    except Exception as error:  # every backend has its own
        raise UserError(
            f'checkpoint {url} cannot be read ({error}): MMEngine needs an '
            'additional package for some kinds of URLs'
        ) from error
    return path
