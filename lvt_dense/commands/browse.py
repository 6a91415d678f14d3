r"""Draw training images after augmentation, with their labels.

Example:
    lvt-dense browse configs/ssdlite_mobilevit_320_coco.py --data DIR \
        --epochs 2 --smallest
"""

import argparse

from lvt_dense.commands.arguments import add_config, read_config
from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser)
    parser.add_argument(
        '--out', default='browse', help='folder of the pictures'
    )
    parser.add_argument(
        '--number', type=int, default=16, help='number of images'
    )
    parser.add_argument(
        '--epochs', type=int, default=1, help='draws of each image'
    )
    parser.add_argument(
        '--class',
        dest='class_name',
        metavar='NAME',
        help='only images with this class',
    )
    picks = parser.add_mutually_exclusive_group()
    for name, text in (
        ('smallest', 'with the smallest objects'),
        ('largest', 'with the largest objects'),
        ('empty', 'without objects'),
    ):
        picks.add_argument(
            f'--{name}',
            dest='pick',
            action='store_const',
            const=name,
            help=f'images {text}',
        )
    parser.add_argument(
        '--augment',
        metavar='PRESET',
        help='augmentation: none, light, recipe, strong, aerial, industrial',
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='seed of the augmentation'
    )


def run(args: argparse.Namespace) -> Outcome:
    """Draw."""
    cfg = read_config(args)
    if args.augment:
        from lvt_dense.engine.augment import use_augment

        print('\n'.join(use_augment(cfg, args.augment)))
    from lvt_dense.apis.browse import browse

    paths = browse(
        cfg,
        args.out,
        number=args.number,
        epochs=args.epochs,
        pick=args.pick,
        class_name=args.class_name,
        seed=args.seed,
    )
    print(f'{len(paths) - 1} pictures and {paths[-1]}')
    return Outcome([str(path) for path in paths])
