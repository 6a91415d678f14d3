"""Try a backbone in every config that MMDetection and MMSegmentation ship."""

import argparse
import sys
from pathlib import Path

from lvt_dense.commands.cli import command


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--backbone', default='emo_1m')
    parser.add_argument(
        '--packages', nargs='+', default=['mmdet', 'mmseg'], metavar='NAME'
    )
    parser.add_argument('--only', default='', help="part of configs' names")
    parser.add_argument(
        '--every', type=int, default=1, metavar='N', help='each Nth config'
    )
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument(
        '--timeout',
        type=float,
        default=120.0,
        help='seconds of processor time for a config',
    )
    parser.add_argument(
        '--out',
        default='work_dirs/swap_sweep',
        help='folder of rows.jsonl, from which a second run goes on, and '
        'table.md and table.csv',
    )
    return parser.parse_args()


@command
def main() -> None:
    """Sweep, write the tables, print the summary."""
    args = parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from swap_sweep.sweep import (
        shipped_configs,
        summarize,
        sweep,
        write_table,
    )

    names = [
        name
        for package in args.packages
        for name in shipped_configs(package)
        if args.only in name
    ][:: args.every]
    out = Path(args.out).absolute()
    rows = sweep(
        names, args.backbone, out / 'rows.jsonl', args.workers, args.timeout
    )
    write_table(rows, out / 'table.md')
    write_table(rows, out / 'table.csv')
    print(summarize(rows))


if __name__ == '__main__':
    main()
