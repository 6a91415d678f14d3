"""Train a detector, a segmenter or a monocular 3D detector.

Example:
    lvt-dense train configs/ssdlite_mobilevit_320_coco.py --data-root DIR
"""

import argparse

from lvt_dense.commands.arguments import (
    add_config,
    add_launcher,
    read_config,
    set_local_rank,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser)
    _add_size(parser)
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
    parser.add_argument('--device', help='cpu, cuda or cuda:N')
    parser.add_argument('--seed', type=int, help='of all random numbers')
    parser.add_argument(
        '--multi-scale',
        action='store_true',
        help='batches of varying image size, from a half to one and a half '
        "of the recipe's, with about equally many pixels (MobileViT)",
    )
    _add_figures(parser)
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate to the total batch size',
    )
    parser.add_argument(
        '--on-nan',
        metavar='stop|skip:N',
        help='on a loss that is not finite, stop (the default) or leave out '
        'the batch, up to N times',
    )
    parser.add_argument('--backbone', help='swap this backbone in first')
    parser.add_argument(
        '--pretrained',
        metavar='WEIGHTS',
        help='what the backbone starts from: "official" for the published '
        'weights, "none" for random ones (then nothing is frozen), a file, a '
        'URL, or a name of "lvt-dense weights list"; by default what the '
        'config says',
    )
    add_launcher(parser)


def _add_size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--epochs',
        type=int,
        help='passes through the data; schedule, warm-up and averaged weights '
        'follow',
    )
    parser.add_argument(
        '--batch-size',
        type=int,
        help='images a GPU and iteration; the learning rate follows',
    )
    parser.add_argument(
        '--workers', type=int, help='processes a GPU that load data'
    )


def _add_figures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--log',
        choices=['tensorboard', 'wandb'],
        help='send figures there as well',
    )
    parser.add_argument(
        '--per-class',
        action='store_true',
        help='log the figures of every class',
    )
    parser.add_argument(
        '--patience',
        type=int,
        help='stop after so many validations without a better figure',
    )


def run(args: argparse.Namespace) -> None:
    """Train."""
    set_local_rank(args)
    cfg = read_config(args, report_dir='data')
    from lvt_dense.apis.train import train

    train(
        cfg,
        work_dir=args.work_dir,
        resume=args.resume,
        amp=args.amp,
        auto_scale_lr=args.auto_scale_lr,
        launcher=args.launcher,
        pretrained=args.pretrained,
        epochs=args.epochs,
        batch_size=args.batch_size,
        multi_scale=args.multi_scale,
        workers=args.workers,
        seed=args.seed,
        device=args.device,
        log=args.log,
        per_class=args.per_class,
        patience=args.patience,
        on_nan=args.on_nan,
    )
