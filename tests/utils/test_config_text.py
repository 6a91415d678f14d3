"""Configs inside checkpoints are values alone."""

from pathlib import Path

import pytest
from mmengine.config import Config

from lvt_dense.utils.config_text import find_code

RECIPES = Path(__file__).parents[2] / 'configs'


@pytest.mark.parametrize(
    'name',
    [
        'ssdlite_mobilevit_xxs_192_demo.py',
        'rtmdet_emo_2m_coco.py',
        'monocon_mobilevit_xxs_kitti.py',
        'deeplabv3_mobilevit_xxs_360_camvid.py',
        'mask_rcnn_emo_coco.py',
    ],
)
def test_what_a_training_writes_passes(name: str) -> None:
    assert find_code(Config.fromfile(RECIPES / name).pretty_text) is None


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        'a = open("x")',
        'a = [dict(b=__import__("os").getcwd())]',
        'a = dict(**{"b": 1})',
        'a = {**dict(b=1)}',
        'a = (lambda: 1)()',
        'a = [b for b in (1, 2)]',
        'a = 1 if 2 else 3',
        'a = f"{1}"',
        'a = 9 ** 9',
        'a = b',
        'a = dict.fromkeys((1,))',
        'a[0] = 1',
        'dict = 1',
        'float = dict',
        'def f(): pass',
        'class A: pass',
        'print(1)',
        'a: int = 1',
        '__builtins__ = dict()',
        '_base_ = "other.py"',
        'a = "{{ $X:1 }}"',
        'a = "{{_base_.b}}"',
        'a = (',
        None,
        3,
    ],
)
def test_all_else_is_code(text: object) -> None:
    assert find_code(text)


def test_values() -> None:
    text = "a = dict(b=[-1, 2.5, (None,)], c={'d': True}, e=float('inf'))"
    assert find_code(text) is None
    assert find_code(f'{text}\nf = set()\n# a comment\n') is None
