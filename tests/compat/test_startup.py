"""What ``import lvt_dense`` changes in MMEngine, whichever comes first."""

from pathlib import Path

import pytest
import torch
from helpers.processes import run_python

NAME = 'lvt_dense::ssdlite_mobilevit_xs_320_coco.py'
OURS = 'import lvt_dense'
THEIRS = 'from mmengine.config import Config; from mmengine.hub import hub'


def run(*lines: str) -> str:
    """Run lines of Python in a process of their own; return what it prints."""
    done = run_python(*lines)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_import_is_light() -> None:
    heavy = {'torch', 'mmengine', 'typing', 'pathlib', 're', 'importlib.util'}
    done = run_python(
        'import sys',
        f'sys.path.insert(0, {str(Path(__file__).parents[2])!r})',
        OURS,
        f'print(*({heavy} & set(sys.modules)))',
        options=('-S',),  # no .pth files of the environment, which load more
    )
    assert (done.stdout, done.stderr) == ('\n', '')


@pytest.mark.parametrize(
    'imports', [(OURS, THEIRS), (THEIRS, OURS)], ids=['first', 'second']
)
def test_names_of_configs(imports: tuple[str, str]) -> None:
    found = run(
        *imports,
        f'print(hub.get_config({NAME!r}).model.backbone.arch)',
        'from mmengine.config.utils import MODULE2PACKAGE',
        'print(MODULE2PACKAGE["mmseg"], MODULE2PACKAGE["lvt_dense"])',
    )
    assert found.split() == ['xs', 'mmseg', 'lvt_dense']


@pytest.mark.parametrize(
    'imports', [(OURS, THEIRS), (THEIRS, OURS)], ids=['first', 'second']
)
def test_base_keeps_the_scope_that_it_names(
    imports: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / 'derived.py'
    path.write_text(f'_base_ = [{NAME!r}]')
    found = run(
        *imports,
        f'cfg = Config.fromfile({str(path)!r})',
        'print(cfg.default_scope, "_scope_" in cfg.model)',
    )
    assert found.split() == ['mmdet', 'False']


def test_hooked_modules_keep_their_source() -> None:
    found = run(
        OURS,
        'import inspect',
        'from mmengine.config import config',
        'print(inspect.getsource(config.Config)[:12])',
    )
    assert found == 'class Config'


def test_hooks_are_installed_once() -> None:
    found = run(
        OURS,
        'import sys',
        'before = len(sys.meta_path)',
        'lvt_dense.compat.startup.install_hooks()',
        'print(len(sys.meta_path) - before)',
    )
    assert found == '0'


def test_public_names() -> None:
    found = run(
        OURS,
        'print(set(lvt_dense.__all__) <= set(dir(lvt_dense)))',
        'print(hasattr(lvt_dense, "nothing"))',
    )
    assert found.split() == ['True', 'False']


@pytest.mark.skipif(
    not hasattr(torch.serialization, 'get_safe_globals'),
    reason='this torch allows every class in a checkpoint',
)
@pytest.mark.parametrize('theirs_first', [False, True])
def test_scripts_of_others_read_checkpoints_of_a_training(
    theirs_first: bool,
) -> None:
    imports = [OURS, 'import mmengine.runner']
    found = run(
        *(reversed(imports) if theirs_first else imports),
        'from mmengine.logging import HistoryBuffer',
        'from torch.serialization import get_safe_globals',
        'print(HistoryBuffer in get_safe_globals())',
    )
    assert found == 'True'
