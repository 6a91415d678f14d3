"""Sections on a run: curves, data, config, environment and cost."""

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from lvt_dense.analysis.matching import SIZES
from lvt_dense.analysis.records import Objects, Record
from lvt_dense.analysis.semantic import SemanticFigures
from lvt_dense.visualization.curves import Curve

from .charts import Series, line_chart
from .page import Section, cards, format_html_table, paragraph, switch

# Distributions whose versions matter.
_PACKAGES = (
    'lvt_dense',
    'torch',
    'numpy',
    'onedl-mmengine',
    'onedl-mmcv',
    'onedl-mmdetection',
    'onedl-mmsegmentation',
    'mmengine',
    'mmcv',
    'mmdet',
    'mmsegmentation',
    'pycocotools',
)
_LONGEST_VALUE = 400  # letters of a setting
_MISSING = '(not set)'

Curves = tuple[Curve, dict[str, Curve]]


def curve_section(runs: Mapping[str, Curves]) -> Section | None:
    """Draw loss and metrics of one run or of several together.

    Args:
        runs: The curves of each run by its name.
    """
    runs = {name: c for name, c in runs.items() if c[0] or c[1]}
    if not runs:
        return None
    several = len(runs) > 1
    charts = []
    losses = [
        _series(name if several else 'loss', loss)
        for name, (loss, _) in runs.items()
        if loss
    ]
    if losses:
        charts.append(
            ('training loss', line_chart(losses, 'step', 'training loss'))
        )
    names = dict.fromkeys(k for _, metrics in runs.values() for k in metrics)
    for metric in names:
        lines = [
            _series(name if several else metric, metrics[metric], True)
            for name, (_, metrics) in runs.items()
            if metric in metrics
        ]
        charts.append((metric, line_chart(lines, 'step', metric)))
    loss, rest = charts[:1], charts[1:]
    body = ''.join(chart for _, chart in loss)
    if rest:
        body += '<h3>Validation</h3>' + switch('metric', rest)
    return Section('Learning curves', body)


def _series(name: str, curve: Curve, has_dots: bool = False) -> Series:
    xs, ys = zip(*curve)
    return Series(name, xs, ys, has_dots=has_dots)


def data_section(record: Record, semantic: SemanticFigures | None) -> Section:
    """Summarize the data that was tested on."""
    sizes = record.images.sizes
    items = [('images', str(len(sizes)))]
    if len(sizes):
        middle = np.median(sizes, 0).astype(int).tolist()
        items.append(('median size', f'{middle[1]} x {middle[0]}'))
        low, high = sizes.min(0).tolist(), sizes.max(0).tolist()
        if low != high:
            items.append(('smallest', f'{low[1]} x {low[0]}'))
            items.append(('largest', f'{high[1]} x {high[0]}'))
    if semantic is not None:
        return Section('Data', cards(items) + _pixel_table(semantic))
    if record.task == 'mono3d':
        types = record.extra['truth_types']
        names, counts = np.unique(types, return_counts=True)
        rows = [[str(n), int(c)] for n, c in zip(names, counts)]
        return Section(
            'Data', cards(items) + format_html_table(['type', 'labels'], rows)
        )
    truths = record.truths
    items.append(('objects', str(int((~truths.ignored).sum()))))
    items.append(('that do not count', str(int(truths.ignored.sum()))))
    empty = len(record.images) - len(np.unique(truths.images))
    items.append(('images without objects', str(empty)))
    return Section(
        'Data', cards(items) + _object_table(truths, record.classes)
    )


def summary_section(text: str) -> Section:
    """Show the summary of own data that a training has written."""
    return Section('Data of the training', f'<pre>{escape(text)}</pre>')


def _object_table(truths: Objects, classes: Sequence[str]) -> str:
    rows = []
    for c, name in enumerate(classes):
        areas = truths.areas[(truths.labels == c) & ~truths.ignored]
        by_size = [
            int(((areas >= low) & (areas < high)).sum())
            for low, high in list(SIZES.values())[1:]
        ]
        side = float(np.sqrt(np.median(areas))) if len(areas) else None
        rows.append([name, len(areas), *by_size, side])
    headers = ['class', 'objects', *list(SIZES)[1:], 'median side (px)']
    return format_html_table(headers, rows)


def _pixel_table(figures: SemanticFigures) -> str:
    pixels = figures.confusion.sum(1)
    total = max(int(pixels.sum()), 1)
    images = (figures.unions > 0).sum(0)
    rows = [
        [name, f'{100 * pixels[c] / total:.2f}', int(images[c])]
        for c, name in enumerate(figures.classes)
    ]
    return format_html_table(['class', 'pixels (%)', 'images'], rows)


def config_section(
    own: Mapping[str, Any], base: Mapping[str, Any] | None, base_name: str
) -> Section:
    """Show a config as a difference from its base.

    Args:
        own: The config.
        base: What it starts from, if that is known.
        base_name: Its name.
    """
    if base is None:
        text = paragraph('Its base is not known, so it is shown as a whole.')
        rows = [[key, _text(value)] for key, value in _flatten(own)]
        return Section(
            'Config',
            text + format_html_table(['setting', 'value'], rows, (0, 1)),
        )
    rows = config_difference(base, own)
    if not rows:
        return Section('Config', paragraph(f'The same as {base_name}.'))
    text = paragraph(f'What differs from {base_name}.', soft=True)
    body = format_html_table(['setting', 'base', 'here'], rows, (0, 1, 2))
    return Section('Config', text + body)


def config_difference(
    base: Mapping[str, Any], own: Mapping[str, Any]
) -> list[list[str]]:
    """Return rows of dotted key, value of the base, and own value."""
    before, now = dict(_flatten(base)), dict(_flatten(own))
    return [
        [
            key,
            *(_text(d[key]) if key in d else _MISSING for d in (before, now)),
        ]
        for key in dict.fromkeys([*before, *now])
        if key not in before or key not in now or before[key] != now[key]
    ]


def _flatten(value: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _flatten(inner, f'{prefix}.{key}' if prefix else key)
    elif (
        isinstance(value, (list, tuple))
        and value
        and all(isinstance(v, Mapping) for v in value)
    ):
        for i, inner in enumerate(value):
            yield from _flatten(inner, f'{prefix}[{i}]')
    else:
        # a dumped config has lists where there were tuples
        yield prefix, list(value) if isinstance(value, tuple) else value


def _text(value: Any) -> str:
    text = repr(value)
    if len(text) > _LONGEST_VALUE:
        text = f'{text[:_LONGEST_VALUE]} ...'
    return text


def environment_section(gpu: str | None = None) -> Section:
    """List machine and packages.

    Args:
        gpu: Name of the GPU, if there is one.
    """
    rows = [
        ['Python', platform.python_version()],
        ['system', platform.platform()],
        ['CPU', f'{_cpu()}, {os.cpu_count()} cores'],
        ['GPU', gpu or 'none'],
    ]
    for name in _PACKAGES:
        try:
            rows.append([name, version(name)])
        except PackageNotFoundError:
            continue
    return Section(
        'Environment', format_html_table(['name', 'version'], rows, (1,))
    )


def _cpu() -> str:
    try:
        with open('/proc/cpuinfo') as file:
            for line in file:
                if line.startswith('model name'):
                    return line.partition(':')[2].strip()
    except OSError:
        pass
    return platform.processor() or 'unknown'


def cost_section(
    rows: Sequence[Sequence[Any]], latency: str, size: Sequence[int]
) -> Section:
    """Show what a prediction costs.

    Args:
        rows: Module, type, parameters (M), GMACs, activations (M).
        latency: The measured time, in words.
        size: Height and width of the image.
    """
    text = paragraph(
        f'One image of {size[0]} x {size[1]} (height x width). {latency}'
    )
    headers = [
        'module',
        'type',
        'parameters (M)',
        'GMACs',
        'activations (M)',
    ]
    return Section(
        'Complexity and latency', text + format_html_table(headers, rows)
    )
