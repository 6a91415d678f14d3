"""Compare runs on one page, with the significance of their differences."""

from collections.abc import Sequence

from lvt_dense.analysis.comparison import (
    ROUNDS,
    choose_rounds,
    compare_runs,
    weighted_ap,
    weighted_miou,
)
from lvt_dense.report.comparison import (
    comparison_section,
    describe_difference,
    threshold_section,
)
from lvt_dense.report.page import write_report_page
from lvt_dense.report.run import curve_section, environment_section
from lvt_dense.utils.errors import UserError

from .report import Run, analyze, check_page, load_run


def compare(sources: Sequence[str], out: str) -> list[str]:
    """Write one page on several runs.

    Args:
        sources: Work directories of trainings, or predictions (``.npz``);
            all are compared with the first one.
        out: ``.html`` file.

    Returns:
        The differences in words.

    Raises:
        UserError: They are not of the same images, classes and task.
    """
    check_page(out)
    runs = [load_run(source) for source in sources]
    _check_same(runs)
    found = [analyze(run.record) for run in runs]
    names = _names(runs)
    rounds = ROUNDS
    if found[0].semantic:
        metrics = [weighted_miou(f.semantic) for f in found if f.semantic]
    else:
        curves = [f.objects.ap_curves for f in found if f.objects]
        rounds = choose_rounds(curves)
        metrics = [weighted_ap(c, found[0].mono3d is not None) for c in curves]
    num_images = len(runs[0].record.images)
    gaps = compare_runs(metrics, num_images, rounds, quiet=False)
    headline = next(iter(found[0].overall))
    sections = [
        comparison_section(
            names, [f.overall for f in found], headline, gaps, num_images
        )
    ]
    if found[0].objects:
        thresholds = {
            name: f.objects.curve for name, f in zip(names, found) if f.objects
        }
        sections.append(threshold_section(thresholds))
    learned = {n: c for n, run in zip(names, runs) if (c := run.curves())}
    section = curve_section(learned)
    sections += [section] if section else []
    sections.append(environment_section())
    write_report_page(out, 'Comparison', ', '.join(names), sections)
    return [
        f'{name}: {describe_difference(gap, headline, num_images)}'
        for name, gap in zip(names[1:], gaps)
    ]


def _names(runs: Sequence[Run]) -> list[str]:
    names = [run.name for run in runs]
    names = [
        f'{run.folder}/{name}' if names.count(name) > 1 else name
        for run, name in zip(runs, names)
    ]
    return [
        f'{name} ({i})' if names.count(name) > 1 else name
        for i, name in enumerate(names, 1)
    ]


def _check_same(runs: Sequence[Run]) -> None:
    first = runs[0]
    for run in runs[1:]:
        for what, mine, theirs in (
            ('task', first.record.task, run.record.task),
            ('classes', first.record.classes, run.record.classes),
            ('images', first.record.images.ids, run.record.images.ids),
        ):
            if mine != theirs:
                raise UserError(
                    f'{first.name} and {run.name} were not tested with the '
                    f'same {what}; compare runs on one test set'
                )
