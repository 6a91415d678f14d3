"""Sections on boxes in space."""

from lvt_dense.analysis.mono3d import Mono3DFigures, kitti_rows

from .detection import detection_sections
from .page import Section, format_html_table, paragraph


def mono3d_sections(
    figures: Mono3DFigures, precision: float | None = None
) -> list[Section]:
    """Return the sections of all figures.

    Args:
        figures: What is known.
        precision: The precision that was asked for.
    """
    classes = figures.objects.classes
    parts = []
    for overlaps, scores in figures.kitti.items():
        rows = [
            [name, *(None if v is None else f'{v:.2f}' for v in values)]
            for name, values in kitti_rows(scores, classes)
        ]
        parts.append(f'<h3>{overlaps.capitalize()} overlaps</h3>')
        parts.append(
            format_html_table(['AP|R40', 'easy', 'moderate', 'hard'], rows)
        )
    text = paragraph(
        'KITTI, in percent, with 40 recall positions, by difficulty.',
        soft=True,
    )
    sections = detection_sections(figures.objects, precision)
    sections[0].title = 'Figures by distance'
    return [Section('Figures by difficulty', text + ''.join(parts)), *sections]
