import importlib
import subprocess
import sys

import pytest

from lvt_dense.compat.old_paths import MOVED, new_path


@pytest.mark.parametrize('old', MOVED)
def test_old_path_is_the_moved_module(old: str) -> None:
    with pytest.warns(FutureWarning, match=f'has moved to .*{MOVED[old]}'):
        module = importlib.import_module(f'lvt_dense.{old}')
    assert module is sys.modules[f'lvt_dense.{MOVED[old]}']
    assert module.__spec__.name == module.__name__
    for name in [n for n in sys.modules if n == f'lvt_dense.{old}']:
        del sys.modules[name]  # the warning is there at each first import


def test_names_and_modules_below_an_old_package() -> None:
    code = (
        'import warnings; warnings.simplefilter("ignore")\n'
        'from lvt_dense.own_data import use_data\n'
        'from lvt_dense.datasets.formats.coco import read\n'
        'import lvt_dense.hooks.patience_hook as old\n'
        'import lvt_dense.engine.hooks.patience_hook as new\n'
        'from lvt_dense import use_data as here\n'
        'assert use_data is here and old is new and callable(read)'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def test_other_names_are_left_alone() -> None:
    assert new_path('lvt_dense.datasets.kitti') is None
    assert new_path('mmdet.hooks') is None
    with pytest.raises(ModuleNotFoundError, match='nothing_of_this_name'):
        importlib.import_module('lvt_dense.nothing_of_this_name')
