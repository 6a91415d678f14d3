"""Print the table of all backbones, or write it into a Markdown file.

Example:
    lvt-dense zoo
    lvt-dense zoo --write docs/backbones.md
    lvt-dense zoo --metafiles configs
"""

import argparse
from pathlib import Path

from lvt_dense.commands.output import Outcome


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


def run(args: argparse.Namespace) -> Outcome:
    """Print, or write."""
    if args.metafiles:
        from lvt_dense.apis.metafiles import write_metafiles

        paths = [str(path) for path in write_metafiles(args.metafiles)]
        print('\n'.join(paths))
        return Outcome(paths)
    from lvt_dense.apis.zoo import full_table, row, write_table
    from lvt_dense.models.backbones import list_backbones

    if args.write:
        write_table(args.write)
    else:
        print(full_table())
    return Outcome([row(name) for name in list_backbones()])
