"""List or download published weights, or show where they are stored.

Example:
    lvt-dense weights list
    lvt-dense weights fetch mobilevit_s emo_5m
    lvt-dense weights where mobilevit_s
"""

import argparse


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


def run(args: argparse.Namespace) -> None:
    """List, fetch or describe."""
    from lvt_dense.apis.weights import (
        describe_file,
        fetch_files,
        find_file,
        table_of_files,
    )
    from lvt_dense.utils.errors import UserError

    if args.action == 'list':
        if args.names:
            raise UserError('weights list takes no names')
        print(table_of_files())
        return
    if not args.names:
        raise UserError(
            f'weights {args.action}: name one or more files; "lvt-dense '
            'weights list" names all'
        )
    files = [find_file(name) for name in args.names]
    if args.action == 'where':
        print('\n'.join(describe_file(file) for file in files))
        return
    for path in fetch_files(files):
        print(path)
