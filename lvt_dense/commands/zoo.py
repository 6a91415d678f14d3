"""Print the table of all backbones, or write it into a Markdown file.

Example:
    lvt-dense zoo
    lvt-dense zoo --write docs/backbones.md
    lvt-dense zoo --metafiles configs
"""

import argparse
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        '--write',
        type=Path,
        metavar='FILE',
        help='file to update between the markers zoo:begin and zoo:end',
    )
    parser.add_argument(
        '--metafiles',
        type=Path,
        metavar='CONFIGS',
        help='folder of configs to write READMEs, metafiles and '
        'model-index.yml for',
    )


def run(args: argparse.Namespace) -> None:
    """Print, or write."""
    if args.metafiles:
        from lvt_dense.apis.metafiles import write_metafiles

        for path in write_metafiles(args.metafiles):
            print(path)
        return
    from lvt_dense.apis.zoo import full_table, write_table

    if args.write:
        write_table(args.write)
    else:
        print(full_table())
