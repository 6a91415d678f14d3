"""Write the tables of backbones into README and docs/backbones.md.

python tools/dev/write_backbone_tables.py
"""

import re
from pathlib import Path

from lvt_dense.apis.zoo import format_backbones, list_rows, row
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

BEGIN, END = '<!-- zoo:begin -->', '<!-- zoo:end -->'
BEGIN_SHORT = '<!-- zoo:begin short -->'
# One size a family that people start with, or two.
SHORT = (
    'mobilevit_xxs',
    'mobilevit_s',
    'emo_1m',
    'emo_5m',
    'emov2_1m',
    'emov2_5m',
    'nasvit_t2',
    'plg_vit_lw_r',
    'plg_vit_lw_a',
    't2t_vit_7',
    't2t_vit_14',
)
SHORT_COLUMNS = (
    'backbone',
    'parameters',
    'GMACs at 224',
    'ImageNet top-1',
    "weights' license",
)


def replace_table(text: str, new: str, begin: str = BEGIN) -> str:
    """Replace the text between the two markers.

    Raises:
        UserError: The markers are not there.
    """
    pattern = re.compile(f'{re.escape(begin)}.*?{re.escape(END)}', re.DOTALL)
    if not pattern.search(text):
        raise UserError(f'there is no {begin} ... {END} to write between')
    return pattern.sub(lambda _: f'{begin}\n{new}\n{END}', text)


def short_table() -> str:
    """Format a short table of the backbones in :data:`SHORT`."""
    return format_backbones([row(name) for name in SHORT], SHORT_COLUMNS)


def write_table(path: Path) -> None:
    """Replace the table in a Markdown file.

    Args:
        path: File with the two markers, or those of the short table.

    Raises:
        UserError: The file or its markers are not there.
    """
    if not path.is_file():
        raise UserError(f'{path} does not exist')
    text = path.read_text()
    if BEGIN_SHORT in text:
        text = replace_table(text, short_table(), BEGIN_SHORT)
    else:
        text = replace_table(text, format_backbones(list_rows()))
    write_atomically(path, text)


if __name__ == '__main__':
    root = Path(__file__).parents[2]
    for page in (root / 'README.md', root / 'docs' / 'backbones.md'):
        write_table(page)
        print(page)
