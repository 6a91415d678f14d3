"""Count parameters, multiply-accumulates and activations of a config.

Example:
    lvt-dense complexity configs/ssdlite_mobilevit_320_coco.py --depth 2
"""

import argparse

from lvt_dense.commands.arguments import add_size
from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('config', help='path or package::name')
    add_size(parser, 'size of the image; by default that of the test pipeline')
    parser.add_argument(
        '--depth', type=int, default=1, help='depth of the modules to list'
    )
    parser.add_argument(
        '--backbone', help='backbone to swap in, such as emo_5m or timm:NAME'
    )


def run(args: argparse.Namespace) -> Outcome:
    """Print the table."""
    from lvt_dense.apis.complexity import count_complexity, format_rows
    from lvt_dense.config import load_config
    from lvt_dense.swap import swap_backbone

    cfg = load_config(args.config)
    if args.backbone:
        cfg = swap_backbone(cfg, args.backbone)

    rows = count_complexity(cfg, args.size, args.depth)
    print(format_rows(rows))
    return Outcome([row._asdict() for row in rows])
