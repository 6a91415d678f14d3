"""Sections that compare several runs."""

from collections.abc import Mapping, Sequence

from lvt_dense.analysis.comparison import LEVEL, Difference
from lvt_dense.analysis.thresholds import GRID, ThresholdCurve

from .charts import Series, line_chart
from .page import Section, format_html_table, paragraph, percent, switch


def comparison_section(
    names: Sequence[str],
    overall: Sequence[Mapping[str, float]],
    metric: str,
    differences: Sequence[Difference],
    num_images: int,
) -> Section:
    """Compare the figures of runs, and say what is noise.

    Args:
        names: Names of the runs.
        overall: Figures of each, in [0, 1].
        metric: The one that the differences are of.
        differences: Those of all runs but the first from the first.
        num_images: Number of images.
    """
    columns = list(overall[0])
    rows = [
        [name, *(percent(figures[key]) for key in columns)]
        for name, figures in zip(names, overall)
    ]
    body = format_html_table(['run', *columns], rows)
    for name, found in zip(names[1:], differences):
        worth = describe_difference(found, metric, num_images)
        body += paragraph(f'{name} against {names[0]}: {worth}')
    if differences:
        body += paragraph(
            f'By a bootstrap over the images ({differences[0].rounds} '
            f'draws): a difference counts as significant below p = {LEVEL}. '
            'It covers the choice of images, not that of random numbers in '
            'the training.',
            soft=True,
        )
    return Section('Comparison', body)


def describe_difference(
    found: Difference, metric: str, num_images: int
) -> str:
    """Say in words what a difference is worth."""
    verdict = (
        'significant'
        if found.is_significant
        else f'within the noise of {num_images} images'
    )
    return (
        f'{metric} {100 * found.value:+.2f} (95 % interval '
        f'{100 * found.low:+.2f} to {100 * found.high:+.2f}, p = '
        f'{found.p_value:.3f}): {verdict}.'
    )


def threshold_section(
    curves: Mapping[str, ThresholdCurve],
) -> Section:
    """Draw precision, recall and F1 of all runs together."""
    sampled = {name: curve.sample() for name, curve in curves.items()}
    choices = [
        (
            title,
            line_chart(
                [
                    Series(name, GRID.tolist(), values[key])
                    for name, values in sampled.items()
                ],
                'score threshold',
                title,
                (0, 1),
                (0, 1),
            ),
        )
        for title, key in (
            ('F1', 'f1'),
            ('precision', 'precision'),
            ('recall', 'recall'),
        )
    ]
    return Section('Score threshold', switch('show', choices))
