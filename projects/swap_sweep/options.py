"""Options that the sweeps share."""

import argparse


def add_sweep_options(
    parser: argparse.ArgumentParser, *, out: str, timeout: float
) -> None:
    """Add the options that :func:`~.sweep.sweep_packages` reads.

    Args:
        parser: Gets the options.
        out: Default of ``--out``.
        timeout: Default of ``--timeout``, in seconds.
    """
    parser.add_argument('--only', default='', help="part of configs' names")
    parser.add_argument(
        '--every', type=int, default=1, metavar='N', help='each Nth config'
    )
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument(
        '--timeout',
        type=float,
        default=timeout,
        help='seconds of processor time for a config',
    )
    parser.add_argument(
        '--out',
        default=out,
        help='folder of rows.jsonl, from which a second run goes on, and '
        'table.md and table.csv',
    )
