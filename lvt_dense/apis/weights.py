"""List, describe and download published weights."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import torch

from lvt_dense.checkpoints.cache import fetch, path_of
from lvt_dense.checkpoints.published import WHOLE_MODELS
from lvt_dense.checkpoints.records import WeightFile, describe_input_norm
from lvt_dense.models.backbones import build_backbone, families
from lvt_dense.models.backbones.pretrained import official_record
from lvt_dense.models.backbones.timm_networks import PREFIX
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import suggest


class Entry(NamedTuple):
    """A published file, and the backbones that it fills."""

    file: WeightFile
    backbones: tuple[str, ...]


def published_files() -> dict[str, Entry]:
    """Return every published file by name, those of backbones first."""
    entries: dict[str, Entry] = {}
    for family, cls in families().items():
        for arch, files in cls.weights.items():
            if arch not in cls.arch_settings:
                continue
            for file in files:
                known = entries.get(file.name)
                names = (
                    *(known.backbones if known else ()),
                    f'{family}_{arch}',
                )
                entries[file.name] = Entry(file, names)
    for file in WHOLE_MODELS:
        entries[file.name] = Entry(file, ())
    return entries


def find_file(name: str) -> WeightFile:
    """Find the published file with a name.

    Args:
        name: Name of a file, or of a backbone for its official one;
            ``timm:NAME[.TAG]`` for a network of timm.

    Raises:
        UserError: There is none; the message offers near names.
    """
    if name.startswith(PREFIX):
        with torch.device('meta'):
            record = official_record(build_backbone(name))
        if record is None:
            raise UserError(f'timm names no weights of {name}')
        return record
    entries = published_files()
    if name in entries:
        return entries[name].file
    for family, cls in families().items():
        for arch, files in cls.weights.items():
            if name == f'{family}_{arch}' and files:
                return files[0]
    near = suggest(name, entries)
    hint = f'{near} ' if near else ''
    raise UserError(
        f'there are no published weights {name!r}; {hint}"lvt-dense weights '
        f'list" names all {len(entries)}'
    )


def fetch_files(files: Iterable[WeightFile]) -> Iterator[Path]:
    """Download files, and go on after one that cannot be had.

    Yields:
        The path of each in the cache.

    Raises:
        UserError: At the end, names those that could not be had.
    """
    faults = []
    for file in files:
        try:
            yield fetch(file)
        except UserError as error:
            faults.append(str(error))
    if faults:
        raise UserError('; '.join(faults))


def table_of_files() -> str:
    """Format a table of the published files."""
    rows = [('name', 'result', 'license', 'layout', 'content', 'cached')]
    for name, (file, backbones) in published_files().items():
        shared = len(backbones) > 1
        result = (
            f'for {len(backbones)} backbones'
            if shared
            else file.describe_result()
        )
        is_cached = path_of(file).is_file()
        rows.append(
            (
                name,
                result,
                file.license or 'none stated',
                file.layout,
                _check_of(file),
                'yes' if is_cached else '-',
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = [
        '  '.join(cell.ljust(width) for cell, width in zip(row, widths))
        for row in rows
    ]
    return '\n'.join(line.rstrip() for line in lines)


def _check_of(file: WeightFile) -> str:
    """Say how a download is checked against what was published."""
    digits = len(file.sha256 or '')
    if digits:
        part = 'SHA-256' if digits == 64 else f'{digits} digits of SHA-256'
        return part + (' and size' if file.size else '')
    return 'size alone' if file.size else 'not verified'


def describe_file(file: WeightFile) -> str:
    """Describe a file in several lines of text."""
    path = path_of(file)
    norm = file.input_norm
    facts = {
        'file': f'{path}{"" if path.is_file() else " (not there yet)"}',
        'url': file.url,
        'page': file.page,
        'source': file.source,
        'trained on': file.dataset,
        'result, as published': file.describe_result(),
        'license': file.license or 'none stated',
        'layout': file.layout,
        'images': describe_input_norm(norm) if norm else 'not known',
        'bytes': file.size,
        'sha256': file.sha256 and f'{file.sha256}...',
        'content': _check_of(file),
    }
    lines = [f'{file.name}']
    lines += [f'  {key}: {value}' for key, value in facts.items() if value]
    return '\n'.join(lines)
