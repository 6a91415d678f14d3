"""Export a model in every precision; size, latency and metric of each.

Example:
    python projects/precision/run.py export CONFIG CHECKPOINT \
        --calibration IMAGES --out work_dirs/precision/NAME
    python projects/precision/run.py test CONFIG CHECKPOINT \
        --data-root DATA --out work_dirs/precision/NAME
    python projects/precision/run.py time --size 360x480 \
        --out work_dirs/precision/NAME
    python projects/precision/run.py table work_dirs/precision/*
"""

import argparse
import sys
from pathlib import Path

from lvt_dense.commands.arguments import add_size
from lvt_dense.commands.parser import command


def parse_args() -> argparse.Namespace:
    """Read the arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = parser.add_subparsers(dest='step', required=True)
    for name in ('export', 'test'):
        step = steps.add_parser(name)
        step.add_argument('config')
        step.add_argument('checkpoint')
        step.add_argument('--out', required=True, help='folder of the model')
    steps.choices['export'].add_argument('--calibration', required=True)
    add_size(steps.choices['export'], 'size of the input')
    steps.choices['test'].add_argument('--data-root')
    time = steps.add_parser('time')
    time.add_argument('--out', required=True, help='folder of the model')
    add_size(time, 'size of the input')
    time.add_argument('--threads', type=int, default=2)
    time.add_argument('--rounds', type=int, default=30)
    table = steps.add_parser('table')
    table.add_argument('folders', nargs='+')
    table.add_argument('--metric', default='mIoU')
    return parser.parse_args()


@command
def main() -> None:
    """Run one step."""
    args = parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from precision import study

    if args.step == 'table':
        rows = [
            row
            for folder in args.folders
            for row in study.tabulate(Path(folder), args.metric)
        ]
        print(study.to_markdown(rows, args.metric), end='')
        return
    folder = Path(args.out)
    folder.mkdir(parents=True, exist_ok=True)
    if args.step == 'export':
        study.export_versions(
            args.config, args.checkpoint, folder, args.calibration, args.size
        )
    elif args.step == 'test':
        study.evaluate_versions(
            args.config, args.checkpoint, folder, args.data_root
        )
    else:
        study.time_versions(folder, args.size, args.threads, args.rounds)


if __name__ == '__main__':
    main()
