"""Read text, JSON, YAML and XML files, and say what is broken in them."""

import csv
import gc
import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import read_text

_CHINESE = (b'gb2312', b'gbk', b'gb18030')


@contextmanager
def no_collection() -> Iterator[None]:
    """Suspend garbage collection.

    It looks at all objects again and again while millions are made, and
    takes longer than the reading itself.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, stripped; empty ones stay."""
    return [line.strip() for line in read_text(path).splitlines()]


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: It is broken; the message has line and column.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    data = data.removeprefix(b'\xef\xbb\xbf')
    try:
        return json.loads(data)
    except RecursionError:
        raise UserError(
            f'{path}: not usable JSON (nested too deeply)'
        ) from None
    except ValueError as error:
        raise UserError(
            f'{path}: not JSON ({error}); it may be cut short: export or '
            'copy it again'
        ) from None


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file with a mapping.

    All scalars stay texts as they are spelled: YAML would turn ``no`` into
    False, ``010`` into 8 and ``1:30`` into 90.

    Raises:
        UserError: It is broken; the message has line and column.
    """
    try:
        content = yaml.load(read_text(path), Loader=yaml.BaseLoader)
    except RecursionError:
        raise UserError(f'{path}: not YAML (nested too deeply)') from None
    except yaml.YAMLError as error:
        mark = getattr(error, 'problem_mark', None)
        place = f':{mark.line + 1}:{mark.column + 1}' if mark else ''
        problem = getattr(error, 'problem', None) or 'unreadable'
        raise UserError(f'{path}{place}: not YAML ({problem})') from None
    if not isinstance(content, dict):
        raise UserError(f'{path}: no YAML mapping of keys to values')
    return content


def read_xml(path: Path) -> ET.Element:
    """Read an XML file.

    Raises:
        UserError: It is broken; the message has line and column.
    """
    try:
        data = Path(path).read_bytes().lstrip()
        encoding = re.match(rb'<\?xml[^>]*encoding=["\']([\w-]+)', data)
        if encoding and encoding.group(1).lower() in _CHINESE:
            text = data.decode('gb18030')  # which Python's parser cannot read
            return ET.fromstring(text.partition('?>')[2])
        return ET.fromstring(data)
    except OSError as error:
        raise UserError(f'{path}: {error.strerror}') from None
    except (ET.ParseError, ValueError, LookupError) as error:
        raise UserError(f'{path}: not XML ({error})') from None


def read_rows(path: Path) -> list[list[str]]:
    """Read the rows of a table with commas, semicolons or tabs."""
    text = read_text(path)
    first = text.split('\n', 1)[0]
    delimiter = max(',;\t', key=first.count)
    rows = csv.reader(text.splitlines(), delimiter=delimiter)
    return [[c.strip() for c in row] for row in rows if any(row)]
