"""Links of README and docs lead somewhere, and the menu has every page."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / 'docs'
PAGES = [
    *sorted(ROOT.glob('*.md')),
    *sorted(DOCS.rglob('*.md')),
    *sorted((ROOT / 'projects').rglob('README.md')),
]


def anchors_of(page: Path) -> set[str]:
    """Names of the headings, as Markdown makes them."""
    titles = re.findall(r'^#+ (.+)$', page.read_text(), re.MULTILINE)
    return {
        re.sub(r'[^\w -]', '', title.lower()).replace(' ', '-')
        for title in titles
    }


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r'```.*?```', '', page.read_text(), flags=re.DOTALL)
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        if re.match(r'\w+:', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f'{page.name}: {link}'
        if anchor:
            assert anchor in anchors_of(target), f'{page.name}: {link}'


def pages_of(menu: object) -> set[str]:
    """All paths of a menu of MkDocs."""
    if isinstance(menu, str):
        return {menu}
    items = menu.values() if isinstance(menu, dict) else menu
    return set().union(*map(pages_of, items))


def test_menu_has_every_page() -> None:
    menu = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav']
    there = {str(p.relative_to(DOCS)) for p in DOCS.rglob('*.md')}
    assert pages_of(menu) == there
