"""Convert an official checkpoint, of a backbone or a whole model, to ours.

Family and layout are told from the names of the tensors alone.

Example:
    lvt-dense convert mobilevit_s.pt ours.pth --backbone mobilevit_s
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('source', help='official file, path or URL')
    parser.add_argument('target', help='file to write')
    parser.add_argument(
        '--backbone',
        help='backbone that the file must fill, such as emo_5m; a supernet '
        'needs it, and of a whole model only the backbone is then taken',
    )
    parser.add_argument(
        '--flip-stem',
        action='store_true',
        help='swap BGR and RGB in the first layer; needs --backbone',
    )


def run(args: argparse.Namespace) -> None:
    """Convert, and say what was done."""
    from lvt_dense.apis.convert import convert_checkpoint

    report = convert_checkpoint(
        args.source, args.target, args.backbone, args.flip_stem
    )
    print(report)
