"""Export every config of ours, or configs with a backbone swapped in.

Example:
    python projects/export_sweep/run.py
    python projects/export_sweep/run.py --swap emo_1m --every 10
"""

import argparse
import sys
from pathlib import Path

from lvt_dense.commands.cli import command


def parse_args() -> argparse.Namespace:
    """Read the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        '--swap',
        default='',
        metavar='BACKBONE',
        help='swap this one into configs of --packages',
    )
    parser.add_argument(
        '--packages',
        nargs='+',
        metavar='NAME',
        help='whose configs; lvt_dense, or mmdet and mmseg with --swap',
    )
    parser.add_argument('--only', default='', help="part of configs' names")
    parser.add_argument(
        '--every', type=int, default=1, metavar='N', help='each Nth config'
    )
    parser.add_argument('--workers', type=int, default=1)
    parser.add_argument(
        '--timeout',
        type=float,
        default=600.0,
        help='seconds of processor time for a config',
    )
    parser.add_argument(
        '--out',
        default='work_dirs/export_sweep',
        help='folder of rows.jsonl, from which a second run goes on, and '
        'table.md and table.csv',
    )
    return parser.parse_args()


@command
def main() -> None:
    """Sweep, write the tables, print the summary."""
    args = parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from export_sweep.trial import examine_export, summarize
    from swap_sweep.sweep import shipped_configs, sweep, write_table

    own = ['mmdet', 'mmseg'] if args.swap else ['lvt_dense']
    names = [
        name
        for package in args.packages or own
        for name in shipped_configs(package)
        if args.only in name
    ][:: args.every]
    out = Path(args.out).absolute()
    rows = sweep(
        names,
        args.swap,
        out / 'rows.jsonl',
        args.workers,
        args.timeout,
        examine_export,
    )
    write_table(rows, out / 'table.md')
    write_table(rows, out / 'table.csv')
    print(summarize(rows))


if __name__ == '__main__':
    main()
