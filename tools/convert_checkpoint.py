"""Convert an official checkpoint, of a backbone or a whole model, to ours.

Family and layout are told from the names of the tensors alone.
"""

import argparse

from lvt_dense.commands.cli import command


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
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
    return parser.parse_args()


@command
def main() -> None:
    """Convert, and say what was done."""
    args = parse_args()
    from lvt_dense.apis.convert import convert_checkpoint

    print(
        convert_checkpoint(
            args.source, args.target, args.backbone, args.flip_stem
        )
    )


if __name__ == '__main__':
    main()
