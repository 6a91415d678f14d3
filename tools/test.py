"""Evaluate a checkpoint of a detector, segmenter or monocular 3D detector."""

import argparse
import os

from mmengine.config import DictAction

from lvt_dense.commands.cli import command
from lvt_dense.config import load_config, set_data_root


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or package::name')
    parser.add_argument('checkpoint', help='file written by tools/train.py')
    parser.add_argument('--data-root', help='another copy of the data set')
    parser.add_argument('--work-dir', help='folder of log and metrics.json')
    parser.add_argument(
        '--out', metavar='FILE', help='predictions: COCO .json, or .pkl'
    )
    parser.add_argument('--show-dir', help='folder of pictures')
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='of drawn objects'
    )
    parser.add_argument('--opacity', type=float, help='of overlays, 0 to 1')
    parser.add_argument(
        '--tta', action='store_true', help='several sizes and both sides'
    )
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
    )
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)
    parser.add_argument(
        '--cfg-options', nargs='+', action=DictAction, metavar='K=V'
    )
    return parser.parse_args()


@command
def main() -> None:
    """Parse, load, evaluate."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    from lvt_dense.apis.test import test

    test(
        cfg,
        args.checkpoint,
        work_dir=args.work_dir,
        out=args.out,
        show_dir=args.show_dir,
        score_thr=args.score_thr,
        opacity=args.opacity,
        tta=args.tta,
        launcher=args.launcher,
    )


if __name__ == '__main__':
    main()
