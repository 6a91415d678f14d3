"""Print the table of all backbones, or write it into a Markdown file.

Example:
    lvt-dense zoo --write README.md
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


def run(args: argparse.Namespace) -> None:
    """Print, or write."""
    from lvt_dense.apis.zoo import full_table, write_table

    if args.write:
        write_table(args.write)
    else:
        print(full_table())
