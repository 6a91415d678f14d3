import json
from importlib import metadata
from types import SimpleNamespace

import pytest

from lvt_dense.utils import install


@pytest.mark.parametrize(
    ('noted', 'extra', 'expected'),
    [
        (dict(url='file:///home/me/lvt_dense'), '', '/home/me/lvt_dense'),
        (
            dict(url='file:///a%20b/x-1.whl'),
            'export',
            "'/a b/x-1.whl[export]'",
        ),
        (
            dict(url='https://host/me/x.git', vcs_info=dict(vcs='git')),
            '',
            'git+https://host/me/x.git',
        ),
        (None, '', install.PLACEHOLDER),
    ],
)
def test_source_is_where_pip_found_it(
    noted: dict | None,
    extra: str,
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = None, noted and json.dumps(noted)
    found = [
        SimpleNamespace(read_text=lambda name, text=text: text)
        for text in texts
    ]
    monkeypatch.setattr(metadata, 'distributions', lambda name: found)
    assert install.find_source(extra) == expected


def test_name_is_used_once_it_is_published(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(install, 'IS_ON_PYPI', True)
    assert install.find_source('timm') == "'lvt_dense[timm]'"
