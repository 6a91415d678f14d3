"""The table of backbones, and that README and docs hold it."""

from pathlib import Path

import pytest
from torch import Tensor, nn
from torch.nn import functional as F
from write_backbone_tables import (
    BEGIN,
    BEGIN_SHORT,
    END,
    SHORT,
    SHORT_COLUMNS,
    replace_table,
)

from lvt_dense import list_backbones
from lvt_dense.apis.zoo import HEADER, SIZES, format_backbones, macs, row
from lvt_dense.models.backbones import families
from lvt_dense.utils.errors import UserError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'backbones.md'


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


def page_table() -> str:
    return PAGE.read_text().split(BEGIN)[1].split(END)[0]


def expected_sizes(name: str) -> tuple[int, ...]:
    """All for the first variant of a family; the others have to be quick."""
    firsts = {
        f'{f}_{next(iter(c.arch_settings))}' for f, c in families().items()
    }
    return SIZES if name in firsts else SIZES[:1]


@pytest.mark.release
@pytest.mark.parametrize('name', list_backbones())
def test_page_is_in_step(name: str) -> None:
    line = next(x for x in page_table().splitlines() if f'`{name}`' in x)
    cells = line.strip('| ').split(' | ')
    sizes = expected_sizes(name)
    expected = row(name, sizes)
    skipped = len(SIZES) - len(sizes)
    assert cells[: 4 + len(sizes)] == expected[: 4 + len(sizes)]
    assert cells[4 + len(sizes) + skipped :] == expected[4 + len(sizes) :]


def test_page_lists_nothing_else() -> None:
    assert page_table().count('| `') == len(list_backbones())


def test_short_table_is_a_part_of_the_full_one() -> None:
    short = (ROOT / 'README.md').read_text().split(BEGIN_SHORT)[1]
    full = page_table().splitlines()
    shown = [HEADER.index(column) for column in SHORT_COLUMNS]
    for name in SHORT:
        line = next(x for x in full if f'`{name}`' in x).strip('| ')
        cells = line.split(' | ')
        assert f'| {" | ".join(cells[i] for i in shown)} |' in short
    assert short.split(END)[0].count('| `') == len(SHORT)


def test_published_names_are_variants() -> None:
    for cls in families().values():
        assert cls.reported_top1.keys() <= cls.arch_settings.keys()
        assert not cls.reported_top1.keys() & cls.weights.keys()


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
    new = format_backbones([['1'] * 9])
    assert replace_table(text, new) == f'a\n{BEGIN}\n{new}\n{END}\nb'
    header, marks, line, *caption = new.splitlines()
    assert header.count('|') == marks.count('|') == line.count('|') == 10
    assert 'not reproduced' in caption[-1]
    with pytest.raises(UserError, match='zoo:begin'):
        replace_table('no markers', new)
