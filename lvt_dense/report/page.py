"""The page: sections, tables, galleries, and the file around them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from lvt_dense.utils.files import write_atomically

from .style import SCRIPT, STYLE


@dataclass
class Section:
    """A part of the page with a title.

    Attributes:
        title: Its heading, also in the list at the top.
        body: HTML.
    """

    title: str
    body: str


@dataclass
class Shot:
    """An image of the gallery, truth beside prediction.

    Attributes:
        name: Name of the image.
        truth: Its picture with the truth, as a data URI.
        prediction: Its picture with the prediction.
        caption: What is written below.
        error: By which the gallery is sorted.
        missed: Number of missed objects, or wrong pixels.
        wrong: Number of wrong detections.
    """

    name: str
    truth: str
    prediction: str
    caption: str
    error: float
    missed: float = 0
    wrong: float = 0


def percent(value: float | None, digits: int = 1) -> str:
    """Format a share of 1 in percent; a dash where there is none."""
    if value is None or math.isnan(value):
        return '–'
    return f'{100 * value:.{digits}f}'


def cards(items: Sequence[tuple[str, str]]) -> str:
    """Lay out names and values as cards."""
    return (
        '<div class="cards">'
        + ''.join(
            f'<div class="card"><b>{escape(value)}</b>'
            f'<span>{escape(name)}</span></div>'
            for name, value in items
        )
        + '</div>'
    )


def format_html_table(
    headers: Sequence[str],
    rows: Sequence[Sequence[Any]],
    text_columns: Sequence[int] = (),
) -> str:
    """Lay out a table that a click on a header sorts.

    Args:
        headers: Names of the columns.
        rows: Texts, numbers, or None for a dash.
        text_columns: Columns with long texts.
    """
    head = ''.join(
        f'<th scope="col"{" class=text" if i in text_columns else ""}>'
        f'<button type="button">{escape(name)}</button></th>'
        for i, name in enumerate(headers)
    )
    body = ''.join(
        '<tr>'
        + ''.join(
            f'<td{" class=text" if i in text_columns else ""}>'
            f'{escape(_cell(value))}</td>'
            for i, value in enumerate(row)
        )
        + '</tr>'
        for row in rows
    )
    return (
        '<div class="scroll"><table class="sortable"><thead><tr>'
        f'{head}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _cell(value: Any) -> str:
    if value is None or isinstance(value, float) and math.isnan(value):
        return '–'
    return f'{value:.4g}' if isinstance(value, float) else str(value)


def switch(label: str, choices: Sequence[tuple[str, str]]) -> str:
    """Show one of several parts, chosen from a menu."""
    options = ''.join(
        f'<option>{escape(name)}</option>' for name, _ in choices
    )
    parts = ''.join(
        f'<div class="choice"{" hidden" if i else ""}>{body}</div>'
        for i, (_, body) in enumerate(choices)
    )
    return (
        f'<div><label class="soft">{escape(label)} </label>'
        f'<select class="switch" aria-label="{escape(label)}">{options}'
        f'</select>{parts}</div>'
    )


def gallery(shots: Sequence[Shot], name: str, counts: bool = True) -> str:
    """Lay out images that a menu sorts.

    Args:
        shots: The images.
        name: Identifier on the page.
        counts: Whether the numbers of missed and wrong objects are known.
    """
    orders = [('error -1', 'largest error'), ('error 1', 'smallest error')]
    if counts:
        orders.append(('missed -1', 'most missed'))
        orders.append(('wrong -1', 'most false positives'))
    orders.append(('name 1', 'name'))
    options = ''.join(f'<option value="{k}">{v}</option>' for k, v in orders)
    figures = ''.join(
        f'<figure data-error="{s.error:.4f}" data-missed="{s.missed:g}" '
        f'data-wrong="{s.wrong:g}" data-name="{escape(s.name)}">'
        '<div class="pair"><div><span>truth</span>'
        f'<img src="{s.truth}" alt="truth of {escape(s.name)}"></div><div>'
        f'<span>prediction</span><img src="{s.prediction}" '
        f'alt="prediction for {escape(s.name)}"></div></div>'
        f'<figcaption>{escape(s.caption)}</figcaption></figure>'
        for s in shots
    )
    return (
        f'<p><label class="soft">sort by <select class="sort" '
        f'data-target="{name}">{options}</select></label></p>'
        f'<div class="gallery" id="{name}">{figures}</div>'
    )


def crops(items: Sequence[tuple[str, str]]) -> str:
    """Lay out small pictures (data URI) with captions."""
    return (
        '<div class="crops">'
        + ''.join(
            f'<figure><img src="{uri}" alt="{escape(caption)}"><figcaption>'
            f'{escape(caption)}</figcaption></figure>'
            for uri, caption in items
        )
        + '</div>'
    )


def paragraph(text: str, soft: bool = False) -> str:
    """Return a paragraph of plain text."""
    return f'<p{" class=soft" if soft else ""}>{escape(text)}</p>'


def write_report_page(
    path: str | Path,
    title: str,
    subtitle: str,
    sections: Sequence[Section],
) -> None:
    """Write the page, whole or not at all.

    Args:
        path: ``.html`` file.
        title: Its heading.
        subtitle: The line below.
        sections: What follows.
    """
    links = ''.join(
        f'<a href="#s{i}">{escape(s.title)}</a>'
        for i, s in enumerate(sections)
    )
    body = ''.join(
        f'<section id="s{i}"><h2>{escape(s.title)}</h2>{s.body}</section>'
        for i, s in enumerate(sections)
    )
    write_atomically(
        path,
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f'<title>{escape(title)}</title><style>{STYLE}</style></head><body>'
        f'<header><h1>{escape(title)}</h1><p class="soft">{escape(subtitle)}'
        f'</p></header><nav aria-label="sections">{links}</nav>'
        f'<main>{body}</main><footer>made by lvt_dense</footer>'
        f'<script>{SCRIPT}</script></body></html>\n',
    )
