r"""Evaluate a checkpoint of a detector, segmenter or monocular 3D detector.

Example:
    lvt-dense test configs/ssdlite_mobilevit_320_coco.py epoch_200.pth \
        --data-root DIR --out predictions.json --show-dir pictures
"""

import argparse

from lvt_dense.commands.arguments import (
    add_checkpoint,
    add_config,
    add_launcher,
    read_config,
    set_local_rank,
)
from lvt_dense.commands.output import Outcome
from lvt_dense.runtime.command import add_tiles, tiling_of
from lvt_dense.utils.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser)
    add_checkpoint(parser, 'file written by lvt-dense train')
    parser.add_argument(
        '--work-dir', help='folder for the log and metrics.json'
    )
    parser.add_argument(
        '--out',
        metavar='FILE',
        help='predictions: COCO .json, .pkl, or .npz for lvt-dense report',
    )
    parser.add_argument(
        '--report',
        nargs='?',
        const='',
        metavar='FILE',
        help='write an HTML report, by default '
        'report.html in the work directory',
    )
    parser.add_argument(
        '--precision',
        type=float,
        help='with --report: also find the score threshold of this precision',
    )
    parser.add_argument('--show-dir', help='folder for pictures')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='lowest score to draw'
    )
    parser.add_argument(
        '--opacity', type=float, help='opacity of overlays, 0 to 1'
    )
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation: several sizes and flips',
    )
    parser.add_argument(
        '--per-class',
        action='store_true',
        help='metrics of every class as well',
    )
    add_launcher(parser)
    add_tiles(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Evaluate."""
    set_local_rank(args)
    cfg = read_config(args)
    options = dict(
        work_dir=args.work_dir,
        out=args.out,
        show_dir=args.show_dir,
        score_thr=args.score_thr,
        opacity=args.opacity,
        tta=args.tta,
        per_class=args.per_class,
        launcher=args.launcher,
        tiling=tiling_of(args),
    )
    if args.report is None:
        if args.precision is not None:
            raise UserError('--precision needs --report')
        from lvt_dense.apis.test import test

        return Outcome(test(cfg, args.checkpoint, **options))
    from lvt_dense.apis.report import test_and_report

    page = test_and_report(
        cfg,
        args.checkpoint,
        page=args.report or None,
        precision=args.precision,
        **options,
    )
    print(f'report: {page}')
    return Outcome(dict(report=str(page)))
