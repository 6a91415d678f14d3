r"""Draw predictions, beside the ground truth where there is one.

Example:
    lvt-dense visualize configs/ssdlite_mobilevit_320_coco.py epoch_200.pth \
        street.jpg --out pictures
"""

import argparse

from lvt_dense.commands.arguments import (
    add_checkpoint,
    add_config,
    read_config,
)
from lvt_dense.commands.output import Outcome
from lvt_dense.runtime.command import add_tiles, tiling_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser)
    add_checkpoint(parser, 'file written by lvt-dense train')
    parser.add_argument(
        'source', help='image, folder or glob pattern; or train, val, test'
    )
    parser.add_argument('--out', required=True, help='folder for the results')
    parser.add_argument(
        '--annotations',
        help='ground truth: COCO .json or a folder of label maps',
    )
    parser.add_argument(
        '--batch-size', type=int, default=4, help='images per batch'
    )
    parser.add_argument(
        '--score-thr', type=float, default=0.3, help='lowest score to draw'
    )
    parser.add_argument(
        '--opacity', type=float, help='opacity of overlays, 0 to 1'
    )
    parser.add_argument('--limit', type=int, help='largest number of images')
    parser.add_argument('--device', help='cpu, cuda, cuda:1, ...')
    add_tiles(parser)


def run(args: argparse.Namespace) -> Outcome:
    """Draw."""
    cfg = read_config(args)
    from lvt_dense.apis.visualize import visualize

    records = visualize(
        cfg,
        args.checkpoint,
        args.source,
        args.out,
        annotations=args.annotations,
        batch_size=args.batch_size,
        score_thr=args.score_thr,
        opacity=args.opacity,
        limit=args.limit,
        device=args.device,
        tiling=tiling_of(args, args.batch_size),
    )
    print(f'\n{len(records)} pictures and predictions.json in {args.out}')
    return Outcome(dict(folder=args.out, images=len(records)))
