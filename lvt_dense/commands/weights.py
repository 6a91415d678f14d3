"""List the published weights, download them, or tell where they lie.

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
        help='list what there is; fetch files into the cache; or tell all '
        'that is known of a file, and where it lies or has to be put',
    )
    parser.add_argument(
        'names',
        nargs='*',
        metavar='NAME',
        help='a file of the list, or a backbone for its official one',
    )


def run(args: argparse.Namespace) -> None:
    """List, fetch or describe."""
    from lvt_dense.apis.weights import (
        describe_file,
        fetch_files,
        find_file,
        table_of_files,
    )
    from lvt_dense.errors import UserError

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
