"""Measure our backbones beside timm's for CPUs; write table and pictures."""

import argparse
import sys
from pathlib import Path

from lvt_dense.commands.parser import command

HERE = Path(__file__).resolve().parent


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--names', nargs='+', help='backbones; all by default')
    parser.add_argument(
        '--sizes',
        nargs='+',
        default=['320x320', '512x512', '800x1344'],
        metavar='HxW',
    )
    parser.add_argument(
        '--threads',
        type=int,
        default=1,
        help='threads of each runtime; on one, processor time is measured',
    )
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument(
        '--pieces', type=int, help='pieces to measure at most, per size'
    )
    parser.add_argument(
        '--only',
        choices=['export', 'measure', 'report'],
        help='one step; all three by default',
    )
    parser.add_argument(
        '--cache', default='work_dirs/frontier', help='folder of ONNX files'
    )
    parser.add_argument(
        '--out',
        default=str(HERE / 'results'),
        help='folder of rows.json, from which a second run goes on, table.md '
        'and pictures',
    )
    return parser.parse_args()


@command
def main() -> None:
    """Export, measure and report what is missing."""
    args = parse_args()
    sys.path[:0] = [str(HERE.parent), str(HERE.parent / 'benchmarks')]
    from frontier.published import OURS, THEIRS
    from frontier.report import write_report
    from frontier.sweep import export_all, measure_all, read_rows
    from timm_alone import import_timm

    from lvt_dense.commands.arguments import parse_size
    from lvt_dense.models.backbones import list_backbones

    names = args.names or [*OURS, *THEIRS]
    if args.only != 'report' and set(names) - set(list_backbones()):
        import_timm()
    cache, out = Path(args.cache), Path(args.out)
    out.mkdir(parents=True, exist_ok=True)
    for size in map(parse_size, args.sizes):
        if args.only in (None, 'export'):
            export_all(names, size, cache)
        if args.only in (None, 'measure'):
            measure_all(
                names,
                size,
                cache,
                out / 'rows.json',
                args.threads,
                args.rounds,
                args.pieces,
            )
    if args.only in (None, 'report'):
        write_report(read_rows(out / 'rows.json'), out)
        print(f'wrote {out / "table.md"}')


if __name__ == '__main__':
    main()
