"""Sections on the objects that a model found."""

from collections.abc import Sequence

import numpy as np

from lvt_dense.analysis.detection import DetectionFigures
from lvt_dense.analysis.error_kinds import KINDS
from lvt_dense.analysis.thresholds import (
    GRID,
    Calibration,
    Operating,
    ThresholdCurve,
)

from .charts import MAX_CLASSES, Series, bars, line_chart, matrix
from .page import Section, cards, format_html_table, paragraph, percent, switch

_CURVES = 60  # classes that have a chart of their own
_CONFUSIONS = 12


def detection_sections(
    figures: DetectionFigures, precision: float | None = None
) -> list[Section]:
    """Return the sections of all figures.

    Args:
        figures: What is known.
        precision: The precision that was asked for.
    """
    return [
        Section('Figures', figures_table(figures)),
        Section('Score threshold', _thresholds(figures, precision)),
        Section('Confusion', _confusion(figures)),
        Section('Kinds of error', _errors(figures)),
        Section('Calibration', calibration_chart(figures.calibration)),
    ]


def figures_table(figures: DetectionFigures) -> str:
    """Lay out the figures of all classes together and of each."""
    names = list(figures.overall)
    rows = []
    for c, row in enumerate(figures.per_class):
        best = figures.class_curves[c].best()
        rows.append(
            [
                figures.classes[c],
                int(figures.num_truths[c]),
                *(percent(row[name]) for name in names),
                percent(best.f1) if best else '–',
                f'{best.score_thr:.2f}' if best else '–',
            ]
        )
    headers = ['class', 'objects', *names, 'best F1', 'at score']
    head = cards(
        [(name, percent(v)) for name, v in figures.overall.items()]
        + [('ECE', _error_of(figures.calibration))]
    )
    text = paragraph(
        f'In percent, by the IoU of the {figures.overlap}. A dash: no such '
        'object in the data.',
        soft=True,
    )
    return head + text + format_html_table(headers, rows)


def _thresholds(figures: DetectionFigures, precision: float | None) -> str:
    parts = [
        _operating('The best F1 of all classes together is', figures.best),
    ]
    if precision is not None:
        if figures.reached:
            parts.append(
                _operating(
                    f'The lowest threshold of precision {precision:g} is',
                    figures.reached,
                )
            )
        else:
            most = figures.curve.precision.max(initial=0.0)
            parts.append(
                paragraph(
                    f'No threshold reaches precision {precision:g}; the '
                    f'highest is {most:.3f}.'
                )
            )
    parts.append(paragraph(f'A match needs {figures.threshold}.', soft=True))
    choices = [('all classes', _curve_chart(figures.curve))]
    order = np.argsort(-figures.num_truths, kind='stable')[:_CURVES]
    choices += [
        (figures.classes[c], _curve_chart(figures.class_curves[c]))
        for c in sorted(order.tolist())
        if figures.num_truths[c]
    ]
    parts.append(switch('class', choices))
    if len(figures.classes) > _CURVES:
        parts.append(
            paragraph(
                f'The {_CURVES} classes with the most objects have a chart; '
                'the thresholds of all are in the table above.',
                soft=True,
            )
        )
    return ''.join(parts)


def _operating(text: str, found: Operating | None) -> str:
    if found is None:
        return paragraph('No detection is right, so there is no threshold.')
    return paragraph(
        f'{text} at score {found.score_thr:.3f}: precision '
        f'{found.precision:.3f}, recall {found.recall:.3f}, F1 '
        f'{found.f1:.3f}.'
    )


def _curve_chart(curve: ThresholdCurve) -> str:
    best = curve.best()
    if best is None:
        return paragraph('No detection is right.')
    sampled = curve.sample()
    names = (('precision', 'precision'), ('recall', 'recall'), ('F1', 'f1'))
    return line_chart(
        [Series(name, GRID.tolist(), sampled[key]) for name, key in names],
        'score threshold',
        'share',
        (0, 1),
        (0, 1),
        [(best.score_thr, f'best F1 at {best.score_thr:.3f}')],
    )


def _confusion(figures: DetectionFigures) -> str:
    whole = figures.confusion
    by_count = np.argsort(-figures.num_truths, kind='stable')
    shown = np.sort(by_count[:MAX_CLASSES])
    note = ''
    if len(shown) < len(by_count):
        note = paragraph(
            f'Shown are the {MAX_CLASSES} of {len(figures.classes)} classes '
            'with the most objects.',
            soft=True,
        )
    chosen = [*shown.tolist(), len(figures.classes)]
    names = [*figures.classes, 'background']
    labels = [names[i] for i in chosen]
    text = paragraph(
        f'At score {figures.score_thr:.3f}. Rows are truths and columns '
        'detections; the row of the background are detections of nothing, '
        'its column missed objects.',
        soft=True,
    )
    return (
        text
        + note
        + confusion_matrices(
            whole, chosen, labels, 'objects', _worst_pairs(figures)
        )
    )


def confusion_matrices(
    whole: np.ndarray,
    chosen: Sequence[int],
    labels: Sequence[str],
    unit: str,
    more: str = '',
) -> str:
    """Draw a confusion matrix: counts, and normalized by rows and columns.

    Args:
        whole: The matrix of all classes.
        chosen: Classes to show.
        labels: Their names.
        unit: What is counted.
        more: HTML below.
    """
    rows = whole / np.maximum(whole.sum(1, keepdims=True), 1) * 100
    columns = whole / np.maximum(whole.sum(0, keepdims=True), 1) * 100
    part = np.ix_(chosen, chosen)
    return (
        switch(
            'show',
            [
                (
                    'share of the truth (rows)',
                    matrix(rows[part], labels, labels, ' %', 0),
                ),
                (
                    'share of the prediction (columns)',
                    matrix(columns[part], labels, labels, ' %', 0),
                ),
                (unit, matrix(whole[part], labels, labels)),
            ],
        )
        + more
    )


def _worst_pairs(figures: DetectionFigures) -> str:
    table_ = figures.confusion[:-1, :-1].copy()
    np.fill_diagonal(table_, 0)
    order = np.argsort(-table_, axis=None, kind='stable')[:_CONFUSIONS]
    rows = [
        [figures.classes[r], figures.classes[c], int(table_[r, c])]
        for r, c in zip(*np.unravel_index(order, table_.shape))
        if table_[r, c]
    ]
    if not rows:
        return paragraph('No object was taken for one of another class.')
    return '<h3>Most frequent confusions</h3>' + format_html_table(
        ['truth', 'taken for', 'objects'], rows
    )


def _errors(figures: DetectionFigures) -> str:
    found = figures.errors
    items = [
        (f'{kind}: {meaning}', found.costs[kind], found.counts[kind])
        for kind, meaning in KINDS.items()
    ]
    text = paragraph(
        'What AP would gain if all errors of a kind were mended (TIDE, Bolya '
        f'et al., ECCV 2020); AP at the same IoU is {percent(found.ap)}. The '
        f'false positives together cost {percent(found.costs["FP"])}, the '
        f'missed objects {percent(found.costs["FN"])}.',
        soft=True,
    )
    return text + bars(
        [(n, cost, f'{percent(cost)} ({count})') for n, cost, count in items]
    )


def _error_of(found: Calibration) -> str:
    return percent(found.ece if found.counts.any() else None)


def calibration_chart(found: Calibration) -> str:
    """Draw how many predictions of each score are right."""
    known = found.counts > 0
    if not known.any():
        return paragraph('There is no prediction whose score to judge.')
    centers = np.arange(len(known)) / len(known) + 0.5 / len(known)
    xs = np.where(known, found.scores, centers).tolist()
    chart = line_chart(
        [
            Series('right', xs, found.accuracy.tolist(), has_dots=True),
            Series('perfect', [0, 1], [0, 1], is_dashed=True),
        ],
        'score',
        'share that is right',
        (0, 1),
        (0, 1),
    )
    text = paragraph(
        f'The expected calibration error is {percent(found.ece, 2)} %: by '
        'so much the scores differ from the share of predictions that are '
        'right. Below the dashed line, scores promise too much.',
        soft=True,
    )
    return text + chart
