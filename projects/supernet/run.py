"""Search a trained supernet, extract sub-networks, draw conflicts.

Examples:
    python projects/supernet/run.py search CONFIG CHECKPOINT --gmacs 0.4
    python projects/supernet/run.py search CONFIG CHECKPOINT --latency 20
    python projects/supernet/run.py extract CONFIG CHECKPOINT --subnet min \
        --out work_dirs/min
    python projects/supernet/run.py cost CONFIG --subnet min t2 max
    python projects/supernet/run.py conflicts work_dirs/*/conflicts.json \
        --out conflicts.png
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lvt_dense.commands.arguments import add_size
from lvt_dense.commands.parser import ConfigOptions, Parser, command

BATCHES = 16


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(
        dest='command', required=True, parser_class=Parser
    )
    _add_search(commands.add_parser('search', help='find good sub-networks'))
    _add_extract(commands.add_parser('extract', help='write one as a model'))
    _add_cost(commands.add_parser('cost', help='GMACs and latency'))
    conflicts = commands.add_parser('conflicts', help='draw conflicts')
    conflicts.add_argument('files', nargs='+', help='conflicts.json files')
    conflicts.add_argument('--names', nargs='+', default=[])
    conflicts.add_argument('--out', default='conflicts.png')
    return parser.parse_args()


def _add_supernet(parser: argparse.ArgumentParser, out: str) -> None:
    parser.add_argument('config', help='config of the supernet')
    parser.add_argument('checkpoint', help='checkpoint of its training')
    parser.add_argument('--data-root', help='folder of the data set')
    parser.add_argument(
        '--batches',
        type=int,
        default=BATCHES,
        help='training batches for the batch statistics of a sub-network '
        f'(default: {BATCHES})',
    )
    parser.add_argument('--out', default=out, help=f'folder (default: {out})')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override the config',
    )


def _add_search(parser: argparse.ArgumentParser) -> None:
    _add_supernet(parser, 'work_dirs/search')
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument(
        '--gmacs', type=float, nargs='+', help='budgets in GMACs'
    )
    budget.add_argument(
        '--latency',
        type=float,
        nargs='+',
        metavar='MS',
        help='budgets in milliseconds on this machine',
    )
    add_size(parser, 'image size; by default that of the test pipeline')
    parser.add_argument(
        '--metric', help='what is to be large; by default that of save_best'
    )
    parser.add_argument('--population', type=int, default=16)
    parser.add_argument('--generations', type=int, default=6)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument(
        '--threads', type=int, default=1, help='threads for the latency'
    )
    parser.add_argument(
        '--images', type=int, help='validation images; by default all'
    )


def _add_extract(parser: argparse.ArgumentParser) -> None:
    _add_supernet(parser, 'work_dirs/subnet')
    parser.add_argument(
        '--subnet',
        default='min',
        help='min, max, t1 to t5, random:SEED, or FILE.json[#N] of a search',
    )


def _add_cost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('config', help='config of the supernet')
    parser.add_argument(
        '--subnet',
        nargs='+',
        default=['min', 'max'],
        help='min, max, t1 to t5, random:SEED, or FILE.json[#N] of a search',
    )
    add_size(parser, 'image size; by default that of the test pipeline')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument(
        '--rounds', type=int, default=30, help='calls of each (default: 30)'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', action=ConfigOptions, metavar='KEY=VALUE'
    )


def _load(args: argparse.Namespace):
    from lvt_dense.config import load_config, set_data_root

    cfg = load_config(args.config, args.cfg_options)
    if getattr(args, 'data_root', None):
        set_data_root(cfg, args.data_root)
    return cfg


@command
def main() -> None:
    """Run a subcommand."""
    args = parse_args()
    if args.command == 'conflicts':
        from supernet.conflict_meter import draw_conflicts

        draw_conflicts(args.files, args.out, args.names)
        print(args.out)
        return
    if args.command == 'cost':
        from supernet.searching import measure_costs

        print('| sub-network | GMACs | latency (ms) |\n| --- | ---: | ---: |')
        for name, gmacs, latency in measure_costs(
            _load(args), args.subnet, args.size, args.threads, args.rounds
        ):
            print(f'| {name} | {gmacs:.3f} | {latency:.2f} |')
        return
    if args.command == 'extract':
        from supernet.extract import extract

        cfg = _load(args)
        arch = extract(
            cfg, args.checkpoint, args.subnet, args.out, args.batches
        )
        print(f'{arch} in {args.out}')
        return
    from supernet.searching import search_supernet

    unit = 'gmacs' if args.gmacs else 'ms'
    picks = search_supernet(
        _load(args),
        args.checkpoint,
        args.out,
        budgets=tuple(args.gmacs or args.latency),
        unit=unit,
        size=args.size,
        metric=args.metric,
        batches=args.batches,
        images=args.images,
        threads=args.threads,
        population=args.population,
        generations=args.generations,
        seed=args.seed,
    )
    for number, pick in enumerate(picks):
        print(
            f'{args.out}/subnets.json#{number}: {pick["cost"]:.4g} {unit} of '
            f'{pick["budget"]:g}, {pick["metrics"]}'
        )


if __name__ == '__main__':
    main()
