"""Sections on label maps."""

import numpy as np

from lvt_dense.analysis.semantic import SemanticFigures

from .charts import MAX_CLASSES
from .detection import calibration_chart, confusion_matrices
from .page import Section, cards, format_html_table, paragraph, percent


def semantic_sections(figures: SemanticFigures) -> list[Section]:
    """Return the sections of all figures."""
    sections = [
        Section('Figures', _figures(figures)),
        Section('Confusion', _confusion(figures)),
    ]
    if figures.calibration is not None:
        chart = calibration_chart(figures.calibration)
        sections.append(Section('Calibration', chart))
    return sections


def _figures(figures: SemanticFigures) -> str:
    names = list(figures.per_class[0])
    items = [(name, percent(v)) for name, v in figures.overall.items()]
    if figures.calibration is not None:
        items.append(('ECE', percent(figures.calibration.ece)))
    rows = [
        [name, *(percent(row[key]) for key in names)]
        for name, row in zip(figures.classes, figures.per_class)
    ]
    return (
        cards(items)
        + paragraph(
            'In percent. "By image" is the mean over images of the IoU of '
            'the classes in each; boundary IoU is that of the pixels within '
            '2 % of the diagonal from a boundary; Acc small, medium and '
            'large is the share of right pixels in connected parts of the '
            'truth below 32 x 32, below 96 x 96 and above.',
            soft=True,
        )
        + format_html_table(['class', *names], rows)
    )


def _confusion(figures: SemanticFigures) -> str:
    pixels = figures.confusion.sum(1)
    order = np.argsort(-pixels, kind='stable')[:MAX_CLASSES]
    chosen = sorted(order.tolist())
    text = 'Pixels; rows are truths and columns predictions.'
    if len(chosen) < len(pixels):
        text += f' Shown are the {MAX_CLASSES} classes with the most pixels.'
    labels = [figures.classes[i] for i in chosen]
    return paragraph(text, soft=True) + confusion_matrices(
        figures.confusion, chosen, labels, 'pixels'
    )
