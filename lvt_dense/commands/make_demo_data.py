"""Render road scenes with exact labels in the layout of a known data set.

Example:
    lvt-dense make-demo-data --format coco --out data/demo --images 480
"""

import argparse
import re

from lvt_dense.commands.output import Outcome
from lvt_dense.utils.errors import UserError

FORMATS = ('coco', 'ade20k', 'cityscapes', 'voc', 'camvid', 'kitti')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        '--format', required=True, choices=FORMATS, help='layout to write'
    )
    parser.add_argument(
        '--out', required=True, help='new or empty folder for the data set'
    )
    parser.add_argument(
        '--images', type=int, required=True, help='number of images'
    )
    parser.add_argument(
        '--seed',
        type=int,
        default=0,
        help='seed of the scenes; image i does not depend on the number of '
        'images (default: 0)',
    )
    parser.add_argument(
        '--size',
        type=parse_width_height,
        metavar='WxH',
        help='image size, such as 320x240 (default: depends on the format)',
    )
    parser.add_argument(
        '--val-fraction',
        type=float,
        default=0.25,
        help='share of images for validation (default: 0.25)',
    )
    parser.add_argument(
        '--far',
        action='store_true',
        help='many distant road users, which are small, instead of few near '
        'ones; for --format coco',
    )
    parser.add_argument(
        '--overwrite',
        action='store_true',
        help='replace a data set written by this command',
    )


def parse_width_height(text: str) -> tuple[int, int]:
    """Parse (width, height) in pixels from a text such as '320x240'."""
    match = re.fullmatch(r'(\d+)x(\d+)', text)
    if not match:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not understood: give width and height in pixels, "
            'such as 320x240'
        )
    return int(match[1]), int(match[2])


def run(args: argparse.Namespace) -> Outcome:
    """Render and write the data set."""
    from lvt_dense.scenes import write_coco, write_kitti, write_semantic

    options = dict(
        num_images=args.images,
        seed=args.seed,
        val_fraction=args.val_fraction,
        overwrite=args.overwrite,
        progress=True,
    )
    if args.size:
        options['size'] = args.size
    if args.far and args.format != 'coco':
        raise UserError(
            f'--far with --format {args.format}: it belongs to --format coco'
        )
    if args.format == 'coco':
        write_coco(args.out, far=args.far, **options)
    elif args.format == 'kitti':
        write_kitti(args.out, **options)
    else:
        write_semantic(args.out, args.format, **options)
    print(f'{args.images} images in {args.out}')
    return Outcome(dict(images=args.images, folder=args.out))
