"""``lvt-dense recipes``: every recipe, and those of a pattern."""

from pathlib import Path

import pytest
from helpers.commands import run_command

from lvt_dense.apis.recipes import list_recipes

CONFIGS = Path(__file__).parents[2] / 'configs'


def test_every_recipe_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command('recipes') == 0
    lines = capsys.readouterr().out.splitlines()
    names = [line.split()[0] for line in lines[1:-1]]
    assert sorted(names) == sorted(p.stem for p in CONFIGS.glob('*.py'))
    assert 'lvt-dense train lvt_dense::RECIPE' in lines[-1]


@pytest.mark.parametrize(
    'pattern',
    ('cityscapes', 'EMO 1m', 'monocular', 'ssdlite_*_320_coco'),
)
def test_pattern(pattern: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command('recipes', pattern) == 0
    lines = capsys.readouterr().out.splitlines()[1:-1]
    assert 1 < len(lines) < 20
    wanted = 'ssdlite' if '*' in pattern else pattern.lower()
    assert all(wanted in line.lower() for line in lines)


def test_cells() -> None:
    rows = {row.recipe: row for row in list_recipes()}
    row = rows['mask_rcnn_mobilevit_1024_coco']
    assert row.task == 'instance segmentation'
    assert (row.data, row.backbone) == ('Coco', 'MobileViT s')
    assert row.published == '42 box mAP, 37.7 mask mAP'
    assert rows['ssdlite_mobilevit_xxs_192_demo'].published == '-'


def test_no_match(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command('recipes', 'ssdlite_mobilevit_xss_320_coco') == 2
    said = capsys.readouterr().err
    assert 'did you mean' in said and 'ssdlite_mobilevit_xs_320_coco' in said


@pytest.mark.parametrize('suffix', ('', '.py'))
def test_recipe_without_a_checkout(
    suffix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f'configs/ssdlite_emo_320_coco{suffix}'
    assert run_command('train', name) == 2
    said = capsys.readouterr().err
    assert 'the package has it: lvt_dense::ssdlite_emo_320_coco.py' in said
    assert run_command('train', f'configs/ssdlite_emmo_320_coco{suffix}') == 2
    said = capsys.readouterr().err
    assert 'did you mean lvt_dense::ssdlite_emo_320_coco.py' in said
    assert run_command('train', 'zzzzzz') == 2
    assert '"lvt-dense recipes" lists' in capsys.readouterr().err
