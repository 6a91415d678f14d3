"""List or download published weights, or show where they are stored.

Example:
    lvt-dense weights list
    lvt-dense weights fetch mobilevit_s emo_5m
    lvt-dense weights where mobilevit_s
"""

import argparse
from dataclasses import asdict

from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'action',
        choices=['list', 'fetch', 'where'],
        nargs='?',
        default='list',
        help='list all files, fetch files into the cache, or show where one '
        'is stored and its details',
    )
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help='name of a file in the list, or a backbone',
    )


def run(args: argparse.Namespace) -> Outcome:
    """List, fetch or describe."""
    from lvt_dense.apis.weights import (
        describe_file,
        fetch_files,
        find_file,
        published_files,
        table_of_files,
    )
    from lvt_dense.utils.errors import UserError

    if args.action == 'list':
        if args.names:
            raise UserError('weights list takes no names')
        print(table_of_files())
        entries = published_files().values()
        return Outcome([asdict(entry.file) for entry in entries])
    if not args.names:
        raise UserError(
            f'weights {args.action}: name one or more files; "lvt-dense '
            'weights list" names all'
        )
    files = [find_file(name) for name in args.names]
    if args.action == 'where':
        print('\n'.join(describe_file(file) for file in files))
        return Outcome([asdict(file) for file in files])
    paths = []
    for path in fetch_files(files):
        print(path)
        paths.append(str(path))
    return Outcome(paths)
