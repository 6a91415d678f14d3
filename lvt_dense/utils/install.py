"""What pip installs lvt_dense from: the one place that knows its name."""

import json
from importlib import metadata
from urllib.parse import unquote, urlparse

NAME = 'lvt_dense'
# Until the name is ours on PyPI, nobody must be told to install it from there.
IS_ON_PYPI = False
PLACEHOLDER = 'PATH_OF_CHECKOUT_OR_WHEEL'


def find_source(extra: str = '') -> str:
    """Return an argument of ``pip install`` that installs this package again.

    Args:
        extra: Extra to install with it, such as ``export``.

    Returns:
        The name on PyPI once it is there; until then the checkout, wheel or
        repository that it was installed from, or a placeholder if pip did
        not note it. Quoted for a shell where it has to be.
    """
    source = NAME if IS_ON_PYPI else _noted_source() or PLACEHOLDER
    if extra:
        source = f'{source}[{extra}]'
    is_plain = all(c.isalnum() or c in '_-./:@+' for c in source)
    return source if is_plain else f"'{source}'"


def _noted_source() -> str | None:
    """Read where pip installed the package from (PEP 610)."""
    # A checkout has a record too, without the note, and may come first.
    found = metadata.distributions(name=NAME)
    notes = (item.read_text('direct_url.json') for item in found)
    noted = next(filter(None, notes), None)
    if noted is None:
        return None
    content = json.loads(noted)
    url = content['url']
    if url.startswith('file:'):
        return unquote(urlparse(url).path)
    system = content.get('vcs_info', {}).get('vcs')
    return f'{system}+{url}' if system else url
