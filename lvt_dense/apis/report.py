"""Reports: one page on the results and errors of a model."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.config import Config
from mmengine.dist import is_main_process

from lvt_dense.analysis.coco_results import read_coco_results
from lvt_dense.analysis.detection import DetectionFigures, analyze_detection
from lvt_dense.analysis.records import SUFFIX, Record, load_record
from lvt_dense.analysis.semantic import SemanticFigures, analyze_semantic
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import best_checkpoint, load_config
from lvt_dense.engine.runner import find_work_dir
from lvt_dense.report.detection import detection_sections, figures_table
from lvt_dense.report.gallery import detection_gallery, semantic_gallery
from lvt_dense.report.page import Section, write_report_page
from lvt_dense.report.run import (
    Curves,
    curve_section,
    data_section,
    summary_section,
)
from lvt_dense.report.semantic import semantic_sections
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import (
    read_text,
    write_atomically,
)
from lvt_dense.visualization.curves import read_curves

from .describe_run import describe_run
from .load import METRICS, recorded_score
from .test import test

if TYPE_CHECKING:  # imports MMDetection, whose messages are silenced first
    from lvt_dense.analysis.mono3d import Mono3DFigures

PREDICTIONS = f'predictions{SUFFIX}'

PAGE = 'report.html'
SUMMARY = 'data/summary.txt'  # of a training with --data


@dataclass
class Analysis:
    """All figures of a record.

    Attributes:
        record: Truths and predictions.
        objects: Figures of objects, by masks where there are any.
        boxes: Those of the boxes of an instance segmenter.
        mono3d: Figures of a 3D detector.
        semantic: Figures of label maps.
    """

    record: Record
    objects: DetectionFigures | None = None
    boxes: DetectionFigures | None = None
    mono3d: 'Mono3DFigures | None' = None
    semantic: SemanticFigures | None = None

    @property
    def overall(self) -> dict[str, float]:
        """The figures of all classes together, in [0, 1]."""
        found = self.semantic or self.objects
        assert found is not None
        return found.overall


def analyze(
    record: Record, precision: float | None = None, quiet: bool = False
) -> Analysis:
    """Compute all figures of a record.

    Args:
        record: Truths and predictions.
        precision: Find the score threshold of this precision as well.
        quiet: Show no progress bar.

    Raises:
        UserError: The precision is none, or there is no image.
    """
    check_precision(precision)
    import_stack()
    if not len(record.images):
        raise UserError(
            'the test set has no images, so there is nothing to report'
        )
    if record.task == 'semantic':
        return Analysis(record, semantic=analyze_semantic(record, quiet))
    if record.task == 'mono3d':
        from lvt_dense.analysis.mono3d import analyze_mono3d

        found = analyze_mono3d(record, precision)
        return Analysis(record, objects=found.objects, mono3d=found)
    boxes = analyze_detection(record, False, precision, quiet)
    if record.task == 'detection':
        return Analysis(record, objects=boxes)
    masks = analyze_detection(record, True, precision, quiet)
    return Analysis(record, objects=masks, boxes=boxes)


def check_precision(precision: float | None) -> None:
    """Check the precision that is asked for.

    Raises:
        UserError: It is none.
    """
    if precision is not None and not 0 < precision <= 1:
        raise UserError(
            f'--precision {precision}: give a number above 0, up to 1'
        )


def summarize(
    analysis: Analysis, precision: float | None = None
) -> dict[str, Any]:
    """Return what goes into ``metrics.json`` under ``report``.

    The threshold of the best F1 is ``score_thr``; ``classes`` has that of
    each class. Figures are in [0, 1].
    """
    about = analysis.record.about
    found: dict[str, Any] = dict(checkpoint=about.get('checkpoint'))
    found['figures'] = _known(analysis.overall)
    if analysis.semantic:
        calibration = analysis.semantic.calibration
        found['ece'] = calibration.ece if calibration else None
        return found
    objects = analysis.objects
    assert objects is not None
    found['match'] = objects.threshold
    if objects.best:
        found.update(asdict(objects.best))
    if precision is not None:
        reached = objects.reached
        found['at_precision'] = dict(
            wanted=precision, **(asdict(reached) if reached else {})
        )
    found['ece'] = objects.calibration.ece
    found['errors'] = objects.errors.costs
    found['classes'] = {
        name: asdict(best)
        for name, curve in zip(objects.classes, objects.class_curves)
        if (best := curve.best())
    }
    return found


def _known(values: dict[str, float]) -> dict[str, float]:
    return {k: v for k, v in values.items() if not np.isnan(v)}


def write_report(
    analysis: Analysis,
    out: str | Path,
    precision: float | None = None,
    curves: Curves | None = None,
    more: Sequence[Section] = (),
) -> None:
    """Write the page of one run.

    Args:
        analysis: All figures.
        out: ``.html`` file.
        precision: The precision that was asked for.
        curves: Loss and metrics of the training.
        more: Sections for the end, see :func:`.describe_run.describe_run`.
    """
    record = analysis.record
    sections: list[Section] = []
    if analysis.semantic:
        sections += semantic_sections(analysis.semantic)
        sections.append(semantic_gallery(record, analysis.semantic))
    elif analysis.objects:
        if analysis.mono3d:
            from lvt_dense.report.mono3d import mono3d_sections

            sections += mono3d_sections(analysis.mono3d, precision)
        else:
            sections += detection_sections(analysis.objects, precision)
        if analysis.boxes:
            table = figures_table(analysis.boxes)
            sections.insert(1, Section('Figures of the boxes', table))
        sections += detection_gallery(record, analysis.objects)
    learning = curve_section({'run': curves}) if curves else None
    sections += [learning] if learning else []
    sections.append(data_section(record, analysis.semantic))
    sections += more
    about = record.about
    title = about.get('config') or 'Report'
    subtitle = ', '.join(
        filter(
            None,
            [
                about.get('checkpoint'),
                f'{len(record.images)} images',
                f'{len(record.classes)} classes',
            ],
        )
    )
    write_report_page(out, str(title), subtitle, sections)


def _add_to_metrics(path: Path, summary: dict[str, Any]) -> None:
    metrics: dict[str, Any] = {}
    if path.is_file():
        metrics = json.loads(path.read_text())
    metrics['report'] = summary
    write_atomically(path, json.dumps(metrics, indent=2) + '\n')


def best_score(cfg: Config, checkpoint: str) -> float:
    """Find the score threshold of the best F1 that a report has found.

    Args:
        cfg: Config of the model.
        checkpoint: Its checkpoint; ``metrics.json`` lies beside it, or in
            the work directory of the config.

    Raises:
        UserError: There is no report, or it is of another checkpoint.
    """
    folders = [Path(checkpoint).parent, find_work_dir(cfg, None)]
    found = recorded_score(checkpoint, folders)
    if found is not None:
        return found
    places = ' or '.join(str(folder / METRICS) for folder in folders)
    raise UserError(
        f'--score-thr best: {places} holds no threshold for '
        f'{Path(checkpoint).name}; run "lvt-dense test CONFIG {checkpoint} '
        '--report" first, or give a number'
    )


@dataclass
class Run:
    """A run to report on.

    Attributes:
        name: Its name.
        record: Truths and predictions.
        work_dir: Folder of the training, if there is one.
        folder: Name of the folder above, which tells runs of one name apart.
    """

    name: str
    record: Record
    work_dir: Path | None = None
    folder: str = ''

    def curves(self) -> Curves | None:
        """Return the learning curves, if the training left any."""
        if self.work_dir is None:
            return None
        try:
            return read_curves(self.work_dir)
        except UserError:
            return None


def load_run(source: str) -> Run:
    """Load a run, or test what a training has left.

    Args:
        source: Work directory of a training, or predictions (``.npz``).

    Raises:
        UserError: There is nothing to report on.
    """
    path = Path(source)
    if path.suffix == SUFFIX:
        folder = path.resolve().parent.name
        return Run(path.stem, load_record(path), folder=folder)
    if not path.is_dir():
        raise UserError(
            f'{source}: no such folder; give the work directory of a '
            f'training, or predictions of "lvt-dense test --out FILE{SUFFIX}"'
        )
    kept, checkpoint = path / PREDICTIONS, best_checkpoint(path)
    is_old = (
        kept.is_file()
        and checkpoint is not None
        and checkpoint.stat().st_mtime > kept.stat().st_mtime
    )
    if not kept.is_file() or is_old:
        _test_run(path, checkpoint)
    whole = path.resolve()
    return Run(whole.name, load_record(kept), path, whole.parent.name)


def _test_run(path: Path, checkpoint: Path | None) -> None:
    if not any(path.glob('*.py')) or checkpoint is None:
        raise UserError(
            f'{path} holds neither {PREDICTIONS} nor a config and a '
            'checkpoint; give the work directory of a training'
        )
    print(f'{path}: testing {checkpoint.name}')
    test(
        load_config(str(path)),
        str(checkpoint),
        work_dir=str(path),
        record=str(path / PREDICTIONS),
    )


def report(
    source: str, out: str | None = None, precision: float | None = None
) -> str:
    """Report on one run.

    Args:
        source: Work directory of a training, or predictions (``.npz``).
        out: ``.html`` file; by default ``report.html`` in the work directory,
            or beside the predictions.
        precision: Find the score threshold of this precision as well.

    Returns:
        The file.

    Raises:
        UserError: The source cannot be used.
    """
    check_precision(precision)
    check_page(out or PAGE)
    run = load_run(source)
    folder = run.work_dir or Path(source).parent
    target = check_page(out or str(folder / PAGE))
    report_run(run, target, precision)
    return target


def report_coco(
    predictions: str,
    annotations: str,
    images: str | None = None,
    out: str | None = None,
    precision: float | None = None,
) -> str:
    """Report on results in COCO's format.

    Args:
        predictions: Results (``.json``).
        annotations: Annotations of the same images (``.json``).
        images: Folder of the images, for the pictures.
        out: ``.html`` file; by default beside the results.
        precision: Find the score threshold of this precision as well.

    Returns:
        The page.

    Raises:
        UserError: A file cannot be used.
    """
    check_precision(precision)
    default = Path(predictions).with_suffix('.html')
    target = check_page(out or str(default))
    record = read_coco_results(predictions, annotations, images)
    report_run(Run(Path(predictions).stem, record), target, precision)
    return target


def test_and_report(
    cfg: Config,
    checkpoint: str,
    page: str | None = None,
    precision: float | None = None,
    **options: Any,
) -> str:
    """Evaluate a checkpoint, and report on it.

    The predictions stay in the work directory, for ``lvt-dense report``.

    Args:
        cfg: Config; adapted in place.
        checkpoint: Its checkpoint, or an exported model.
        page: ``.html`` file; by default ``report.html`` in the work directory.
        precision: Find the score threshold of this precision as well.
        **options: Other arguments of :func:`.test.test`.

    Returns:
        The page.

    Raises:
        UserError: Something cannot be used, see :func:`.test.test`.
    """
    check_precision(precision)
    own = Config(cfg.to_dict(), filename=cfg.filename)
    folder = find_work_dir(cfg, options.get('work_dir'))
    target = check_page(page or str(folder / PAGE))
    test(cfg, checkpoint, record=str(folder / PREDICTIONS), **options)
    if is_main_process():
        record = load_record(folder / PREDICTIONS)
        run = Run(folder.name, record, folder)
        report_run(run, target, precision, own)
    return target


def check_page(out: str) -> str:
    """Check the name of a page.

    Raises:
        UserError: It is no ``.html`` file.
    """
    if Path(out).suffix not in ('.html', '.htm'):
        raise UserError(f'--out {out}: give a file .html')
    return out


def report_run(
    run: Run,
    out: str,
    precision: float | None = None,
    cfg: Config | None = None,
) -> None:
    """Write the page of one run; with a work directory, its metrics too.

    Args:
        run: The run.
        out: ``.html`` file.
        precision: Find the score threshold of this precision as well.
        cfg: Config of the run; by default that in the work directory.
    """
    analysis = analyze(run.record, precision)
    if cfg is None and run.work_dir and any(run.work_dir.glob('*.py')):
        cfg = load_config(str(run.work_dir))
    more = describe_run(cfg) if cfg else []
    summary = run.work_dir / SUMMARY if run.work_dir else None
    if summary and summary.is_file():
        more.insert(0, summary_section(read_text(summary)))
    write_report(analysis, out, precision, run.curves(), more)
    if run.work_dir:
        found = summarize(analysis, precision)
        _add_to_metrics(run.work_dir / METRICS, found)
