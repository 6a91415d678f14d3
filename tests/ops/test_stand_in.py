"""When the stand-in takes the place of ``mmcv._ext``, and when not."""

import subprocess
import sys
from pathlib import Path

import pytest

from lvt_dense.ops import stand_in
from lvt_dense.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
# A package mmcv of the test's own, so that nothing here depends on which
# mmcv is installed.
_CODE = """
import lvt_dense.ops
assert not {'torch', 'mmengine', 'ctypes'} & sys.modules.keys()
lvt_dense.ops.install()
lvt_dense.ops.install()
print(lvt_dense.ops.using_compiled())
import mmcv._ext
print(mmcv._ext.MARK if mmcv._ext.__dict__.get("MARK") else "none")
"""


def _run(folder: Path) -> list[str]:
    (folder / 'mmcv').mkdir(exist_ok=True)
    (folder / 'mmcv' / '__init__.py').touch()
    # Without site-packages, whose start-up file installs the finder before.
    path = f'import sys; sys.path[:0] = [{str(folder)!r}, {str(ROOT)!r}]\n'
    done = subprocess.run(
        [sys.executable, '-S', '-W', 'default', '-c', path + _CODE],
        capture_output=True,
        text=True,
        check=True,
    )
    return [*done.stdout.split(), done.stderr]


def test_missing_module_is_replaced(tmp_path: Path) -> None:
    assert _run(tmp_path) == ['False', 'none', '']


def test_present_module_is_kept(tmp_path: Path) -> None:
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '_ext.py').write_text('MARK = 7\n')
    assert _run(tmp_path) == ['True', '7', '']


def test_module_that_does_not_load_is_replaced(tmp_path: Path) -> None:
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'torch.py').touch()  # fast to import
    broken = tmp_path / 'mmcv' / '_ext.abi3.so'
    broken.write_bytes(b'not a library')
    using, *_, warnings = _run(tmp_path)
    assert using == 'False'
    assert 'does not load' in warnings


def test_a_name_without_pure_form_says_what_to_do() -> None:
    module = stand_in.StandIn('mmcv._ext')
    assert module.border_align_forward.__name__ == 'border_align_forward'
    with pytest.raises(UserError, match='border_align_forward.*make ops'):
        module.border_align_forward(1, pool_size=2)


def test_every_operator_is_found() -> None:
    module = stand_in.StandIn('mmcv._ext')
    for name, place in stand_in.OPERATORS.items():
        assert getattr(module, name).__module__ == f'lvt_dense.ops.{place}'


def test_special_names_are_no_operators() -> None:
    module = stand_in.StandIn('mmcv._ext')
    assert not hasattr(module, '__path__')
    assert not hasattr(module, '__all__')
