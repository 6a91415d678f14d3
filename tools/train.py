"""Train a detector, a segmenter or a monocular 3D detector."""

import argparse
import os

from mmengine.config import DictAction

from lvt_dense.commands.cli import command
from lvt_dense.config import load_config, set_data_root


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config', help='path, or package::name')
    parser.add_argument('--data-root', help='another copy of the data set')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--resume',
        nargs='?',
        const=True,
        default=False,
        metavar='CKPT',
        help='continue from CKPT, or from the newest one in the work dir',
    )
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the total batch size',
    )
    parser.add_argument('--backbone', help='swap this backbone in first')
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
    """Parse, load, train."""
    args = parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config)
    if args.backbone:
        from lvt_dense import swap_backbone

        cfg = swap_backbone(cfg, args.backbone)
    cfg = load_config(cfg, args.cfg_options)
    if args.data_root:
        set_data_root(cfg, args.data_root)
    from lvt_dense.apis.train import train

    train(
        cfg,
        work_dir=args.work_dir,
        resume=args.resume,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        launcher=args.launcher,
    )


if __name__ == '__main__':
    main()
