"""Optional imports: each way of failing, and the words for it."""

import sys
from pathlib import Path

import pytest

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.install import find_source
from lvt_dense.utils.optional import import_optional

SOURCE = find_source('x')

FILES = {
    'opt_good': 'VALUE = 3',
    'opt_needy': 'import opt_absent.part',
    'opt_broken': 'raise RuntimeError("operator opt::nms\\ndoes not exist")',
    'opt_outer': 'from opt_broken import nms',
}


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in FILES.items():
        (tmp_path / f'{name}.py').write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(tmp_path)


def test_import(packages: None) -> None:
    assert import_optional('opt_good', 'a test').VALUE == 3


@pytest.mark.parametrize(
    ('name', 'message'),
    (
        (
            'opt_absent',
            f'opt_absent, which is not installed: pip install {SOURCE}',
        ),
        (
            'opt_needy',
            'opt_needy, which imports opt_absent, which is not installed: '
            'pip install opt_absent',
        ),
        (
            'opt_broken',
            'opt_broken, which is installed, but cannot be imported: '
            'RuntimeError: operator opt::nms does not exist; install a '
            'version of it that fits the other packages',
        ),
        (
            'opt_outer',
            'opt_outer, which imports opt_broken, which is installed, but '
            'cannot be imported: RuntimeError: operator opt::nms does not '
            'exist; install a version of it that fits the other packages',
        ),
    ),
)
def test_failures(packages: None, name: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        import_optional(name, 'a test', 'x')
    assert str(caught.value) == f'a test needs {message}'
