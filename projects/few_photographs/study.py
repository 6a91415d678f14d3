"""Compare short trainings on small data sets, one after the other.

    python projects/few_photographs/study.py run data/raccoon \
        --trials ssdlite_256 rtmdet_256 --updates 400 --seeds 0 1 2
    python projects/few_photographs/study.py table

Every training is one line of ``results.jsonl``; one that is there already is
not repeated. Time is processor time of one core, which other programs on the
machine change little.
"""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lvt_dense.commands.parser import command
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from few_photographs.trials import TRIALS, Trial, build

OUT = Path('work_dirs/few_photographs')
RESULTS = 'results.jsonl'
# The figures that are kept, in the order of the table.
METRICS = {
    'coco/bbox_mAP_50': 'mAP@50',
    'coco/bbox_mAP': 'mAP',
    'mIoU': 'mIoU',
}


def run(args: argparse.Namespace) -> None:
    """Train each trial with each seed, and note what came of it."""
    names = args.trials or list(TRIALS)
    unknown = [name for name in names if name not in TRIALS]
    if unknown:
        raise UserError(
            f'--trials {unknown[0]}: choose from {", ".join(TRIALS)}'
        )
    data = Path(args.data).resolve()
    for name in names:
        for seed in args.seeds:
            key = dict(
                data=data.name,
                trial=name,
                images=args.images,
                updates=args.updates or TRIALS[name].updates,
                start=Path(args.pretrained).name
                if args.pretrained
                else 'random',
                seed=seed,
            )
            if any(_same(row, key) for row in read_results(args.out)):
                continue
            found = _train(TRIALS[name], data, key, args)
            _append(args.out, dict(key, **found))


def _train(
    trial: Trial, data: Path, key: dict, args: argparse.Namespace
) -> dict[str, float]:
    """Train in a process of its own; return figures and seconds."""
    child = os.fork()
    folder = args.out / '_'.join(str(value) for value in key.values())
    result = folder / 'result.json'
    if not child:
        try:
            from lvt_dense.apis.train import train

            cfg = build(trial, data, key['updates'], args.images)
            begin = time.process_time()
            runner = train(
                cfg,
                work_dir=str(folder),
                pretrained=args.pretrained or 'none',
                seed=key['seed'],
                workers=0,
            )
            seconds = time.process_time() - begin
            scalars = runner.message_hub.log_scalars
            metrics = {
                name: float(scalars[f'val/{name}'].current())
                for name in METRICS
                if f'val/{name}' in scalars
            }
            text = json.dumps(dict(metrics, seconds=round(seconds)))
            write_atomically(result, text)
        except UserError as error:
            print(f'error: {error}', file=sys.stderr)
            os._exit(2)
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status:
        raise UserError(f'{folder.name} failed, see above')
    found: dict[str, float] = json.loads(result.read_text())
    return found


def _same(row: dict, key: dict) -> bool:
    return all(row.get(name) == value for name, value in key.items())


def read_results(folder: Path) -> list[dict[str, Any]]:
    """Read the trainings that were done, in their order."""
    path = folder / RESULTS
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def _append(folder: Path, row: dict[str, Any]) -> None:
    lines = [json.dumps(r) for r in [*read_results(folder), row]]
    write_atomically(folder / RESULTS, '\n'.join(lines) + '\n')


def make_table(rows: Sequence[dict[str, Any]]) -> str:
    """Write the mean over seeds of each trial as a Markdown table."""
    lines = [
        '| data | images | trial | start | updates | seeds | mAP@50 | mAP '
        '| mIoU | seconds of a core |',
        '| --- | ---: | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |',
    ]
    groups: dict[tuple, list[dict]] = {}
    names = ('data', 'images', 'trial', 'start', 'updates')
    for row in rows:
        groups.setdefault(tuple(row[n] for n in names), []).append(row)
    for key, group in groups.items():
        data, images, *rest = key
        cells = [data, images or 'all', *rest, len(group)]
        cells += [_mean(group, name) for name in METRICS]
        cells.append(round(statistics.mean(r['seconds'] for r in group)))
        lines.append('| ' + ' | '.join(str(cell) for cell in cells) + ' |')
    return '\n'.join(lines)


def _mean(rows: Sequence[dict], name: str) -> str:
    """Write mean and spread in percent."""
    scale = 1 if name == 'mIoU' else 100
    values = [scale * row[name] for row in rows if name in row]
    if not values:
        return ''
    mean = f'{statistics.mean(values):.1f}'
    if len(values) == 1:
        return mean
    return f'{mean} ± {statistics.stdev(values):.1f}'


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    actions = parser.add_subparsers(dest='action', required=True)
    training = actions.add_parser('run', help='train')
    training.add_argument('data', help='folder of labeled photographs')
    training.add_argument(
        '--trials', nargs='+', metavar='NAME', help='by default all'
    )
    training.add_argument('--updates', type=int, help='of each training')
    training.add_argument(
        '--images', type=int, help='the first so many to learn from'
    )
    training.add_argument('--seeds', type=int, nargs='+', default=[0])
    training.add_argument(
        '--pretrained', metavar='FILE', help='weights of the backbone'
    )
    table = actions.add_parser('table', help='print what was measured')
    for action in (training, table):
        action.add_argument('--out', type=Path, default=OUT)
    return parser.parse_args()


@command
def main() -> None:
    """Run what the command line asks for."""
    args = parse_args()
    if args.action == 'run':
        run(args)
    print(make_table(read_results(args.out)))


if __name__ == '__main__':
    sys.exit(main())
