r"""Write a report on the results and errors of a model, or compare runs.

A run is the work directory of a training, whose best checkpoint is tested if
that was not done yet, or a file of predictions that ``lvt-dense test --out
FILE.npz`` wrote. The page is one HTML file.

Example:
    lvt-dense report work_dirs/ssdlite_mobilevit_320_coco --precision 0.9
"""

import argparse
from pathlib import Path

from lvt_dense.commands.output import Outcome
from lvt_dense.utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'runs',
        nargs='*',
        metavar='RUN',
        help='work directory of a training, or predictions (.npz); several '
        'are compared with the first one',
    )
    parser.add_argument(
        '--predictions',
        metavar='FILE',
        help='predictions of lvt-dense test: .npz, or COCO .json with '
        '--annotations; no model is needed',
    )
    parser.add_argument(
        '--annotations', metavar='FILE', help='COCO annotations of a .json'
    )
    parser.add_argument(
        '--images', metavar='DIR', help='folder of the images of a .json'
    )
    parser.add_argument(
        '--precision',
        type=float,
        help='also find the score threshold of this precision',
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='page to write, by default report.html next to the input, or '
        'comparison.html in the current folder',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Report, or compare."""
    _check(args)
    if len(args.runs) > 1:
        from lvt_dense.apis.compare import compare

        out = args.out or 'comparison.html'
        lines = list(compare(args.runs, out))
        print('\n'.join([*lines, f'report: {out}']))
        return Outcome(dict(report=out, comparison=lines))
    from lvt_dense.apis.report import report, report_coco

    if args.predictions and Path(args.predictions).suffix == '.json':
        page = report_coco(
            args.predictions,
            args.annotations,
            args.images,
            args.out,
            args.precision,
        )
    else:
        source = args.predictions or args.runs[0]
        page = report(source, args.out, args.precision)
    print(f'report: {page}')
    return Outcome(dict(report=str(page)))


def _check(args: argparse.Namespace) -> None:
    if bool(args.runs) == bool(args.predictions):
        raise UserError(
            'give the work directory of a training, or --predictions FILE'
        )
    if len(args.runs) > 1 and args.precision is not None:
        raise UserError(
            '--precision works with a single run, but several are given'
        )
    if not args.predictions:
        if args.annotations or args.images:
            raise UserError('--annotations and --images need --predictions')
        return
    kind = Path(args.predictions).suffix
    if kind == '.json' and not args.annotations:
        raise UserError(
            f'--predictions {args.predictions} holds no truth: give '
            '--annotations FILE as well, or write an .npz file with '
            '"lvt-dense test --out"'
        )
    if kind not in ('.json', '.npz'):
        raise UserError(
            f'--predictions {args.predictions}: give an .npz file of '
            '"lvt-dense test --out", or COCO results (.json)'
        )
    if kind == '.npz' and (args.annotations or args.images):
        raise UserError(
            '--annotations and --images are for COCO results (.json); an '
            '.npz file holds the truth'
        )
