"""The table of backbones, and that the README holds it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lvt_dense import build_backbone, list_backbones
from lvt_dense.errors import UserError
from lvt_dense.models.backbones import families
from lvt_dense.zoo import BEGIN, END, macs, replace_table, row, table

README = Path(__file__).resolve().parents[1] / 'README.md'


class Attending(nn.Module):
    """A convolution, and attention over its pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x).flatten(2).transpose(1, 2)[:, None]
        return F.scaled_dot_product_attention(x, x, x)


def test_attention_is_counted() -> None:
    pixels = 16 * 8
    expected = pixels * 8 * 3 * 9 + 2 * pixels**2 * 8
    assert macs(Attending().to('meta'), 32, 16) == expected


@pytest.mark.parametrize('family', families())
def test_readme_is_in_step(family: str) -> None:
    """Every variant's line, and the costs of the smallest at 224 pixels."""
    lines = README.read_text().split(BEGIN)[1].split(END)[0].splitlines()
    found = {line.split('`')[1]: line for line in lines if '`' in line}
    names = [n for n in list_backbones() if families_of(n) == family]
    for name in names:
        cells = found[name].strip('| ').split(' | ')
        expected = row(name, sizes=())
        assert cells[:4] + cells[7:] == expected
    smallest = min(names, key=parameters)
    assert found[smallest].split(' | ')[4] == row(smallest, sizes=(224,))[4]


def families_of(name: str) -> str:
    return max((f for f in families() if name.startswith(f'{f}_')), key=len)


def parameters(name: str) -> int:
    with torch.device('meta'):
        return sum(p.numel() for p in build_backbone(name).parameters())


def test_readme_lists_nothing_else() -> None:
    text = README.read_text().split(BEGIN)[1].split(END)[0]
    assert text.count('| `') == len(list_backbones())


def test_published_names_are_variants() -> None:
    for cls in families().values():
        assert cls.published.keys() <= cls.arch_settings.keys()
        for entry in cls.published.values():
            assert entry.keys() == {'top1', 'url', 'licence'}


def test_row() -> None:
    assert row('mobilevit_s', sizes=()) == [
        '`mobilevit_s`',
        '4, 8, 16, 32',
        '64, 96, 128, 160',
        '4,833,952',
        '78.3*',
        '[Apple Sample Code License](https://docs-assets.developer.apple.com/'
        'ml-research/models/cvnets/classification/mobilevit_s.pt)',
    ]
    assert row('plg_vit_lw_r', sizes=())[4:] == ['-', 'no weights']
    assert 'none stated' in row('emo_1m', sizes=())[-1]


def test_replacement() -> None:
    text = f'a\n{BEGIN}\nold\nold\n{END}\nb'
    new = table([['1'] * 9])
    assert replace_table(text, new) == f'a\n{BEGIN}\n{new}\n{END}\nb'
    header, marks, line, *caption = new.splitlines()
    assert header.count('|') == marks.count('|') == line.count('|') == 10
    assert 'not reproduced' in caption[-1]
    with pytest.raises(UserError, match='zoo:begin'):
        replace_table('no markers', new)
