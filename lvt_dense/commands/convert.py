"""Convert an official checkpoint to the layout of lvt_dense.

The checkpoint may be of a backbone or of a whole model. Family and layout are
detected from the names of the tensors.

Example:
    lvt-dense convert mobilevit_s.pt ours.pth --backbone mobilevit_s
    lvt-dense convert epoch_12.pth timm.pth --backbone timm:NAME --to-timm
"""

import argparse

from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('source', help='path or URL of the official file')
    parser.add_argument('target', help='file to write')
    parser.add_argument(
        '--backbone',
        help='backbone to load the file into, such as emo_5m; required for a '
        'supernet; of a detector or segmenter, only the backbone is '
        'converted',
    )
    parser.add_argument(
        '--flip-stem',
        action='store_true',
        help='swap RGB and BGR in the first layer; needs --backbone',
    )
    parser.add_argument(
        '--to-timm',
        action='store_true',
        help="write the tensors under timm's names, for timm.create_model; "
        'needs --backbone timm:NAME',
    )


def run(args: argparse.Namespace) -> Outcome:
    """Convert, and print a report."""
    from lvt_dense.apis.convert import convert_checkpoint

    report = convert_checkpoint(
        args.source,
        args.target,
        args.backbone,
        args.flip_stem,
        args.to_timm,
    )
    print(report)
    return Outcome(dict(file=args.target, report=report))
