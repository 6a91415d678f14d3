"""Serve a page of `export --format web` on this machine.

Example:
    lvt-dense serve page
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument('page', help='folder written by export --format web')
    parser.add_argument(
        '--port', type=int, default=8000, help='port; 0 takes a free one'
    )


def run(args: argparse.Namespace) -> None:
    """Serve until interrupted."""
    from lvt_dense.runtime.serve import make_server

    with make_server(args.page, args.port) as server:
        port = server.server_address[1]
        print(f'http://127.0.0.1:{port}/ (Ctrl-C stops)', flush=True)
        server.serve_forever()
