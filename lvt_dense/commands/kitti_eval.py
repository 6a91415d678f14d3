r"""Score a folder of KITTI result files against a folder of labels.

Example:
    lvt-dense kitti-eval results data/kitti/training/label_2 \
        --ids data/kitti/ImageSets/val.txt --out ap.json
"""

import argparse
from pathlib import Path

from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('results', help='folder of 16-field result files')
    parser.add_argument(
        'labels', help='folder of label files, such as label_2'
    )
    parser.add_argument(
        '--out', type=Path, help='.json file to write all metrics to'
    )
    parser.add_argument(
        '--ids', help='file with the frames to score, such as val.txt'
    )
    parser.add_argument(
        '--classes',
        nargs='+',
        metavar='NAME',
        help='types of the label files to score (default: Car Pedestrian '
        'Cyclist); vehicles need IoU 0.7, others 0.5',
    )
    parser.add_argument(
        '--missing-as-empty',
        action='store_true',
        help='treat frames without a result file as frames without detections',
    )
    parser.add_argument(
        '--overlaps',
        choices=['strict', 'loose'],
        default='strict',
        help='IoU 0.7/0.5/0.5 for Car/Pedestrian/Cyclist, or 0.5/0.25/0.25 '
        'for BEV and 3D (default: strict)',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Score, and print the table."""
    from lvt_dense.apis.kitti_eval import score_folders

    table = score_folders(
        args.results,
        args.labels,
        ids=args.ids,
        missing_as_empty=args.missing_as_empty,
        overlaps=args.overlaps,
        out=args.out,
        classes=args.classes,
    )
    print(table)
    return Outcome(dict(table=table))
