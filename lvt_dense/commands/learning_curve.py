r"""Plot the loss and a validation metric of a training.

Example:
    lvt-dense learning-curve work_dirs/demo --metric coco/bbox_mAP_50 \
        --out curve.png
"""

import argparse

from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('work_dir', help='work directory of the training')
    parser.add_argument(
        '--metric', default='mIoU', help='name of the metric in the log'
    )
    parser.add_argument('--out', required=True, help='.png or .svg file')


def run(args: argparse.Namespace) -> Outcome:
    """Plot."""
    from lvt_dense.visualization.curves import draw_curves

    draw_curves(args.work_dir, args.metric, args.out)
    return Outcome(dict(file=args.out))
