"""Table and picture of RTMDet and SSDLite trained alike on people of COCO.

    python projects/frontier/detectors.py work_dirs

Reads the validations of the runs of the configs in ``detectors/``, counts
parameters and multiply-accumulates, and measures the latency, in turn.
"""

import sys
from pathlib import Path
from typing import Any

from lvt_dense.commands.parser import command

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from frontier.runs import (
    cost_cells,
    make_parser,
    measure_cost,
    read_metric,
    save_picture,
    write_results,
)

HERE = Path(__file__).resolve().parent
SIZE = (320, 320)
TITLES = dict(ssdlite_emo_1m='SSDLite', rtmdet_emo_1m='RTMDet')
KEYS = ('bbox_mAP', 'bbox_mAP_50', 'bbox_AR@100')


def collect(work_dirs: Path, threads: int, rounds: int) -> list[dict]:
    """Collect one row for each detector, with the metrics by validation."""
    configs = [HERE / 'detectors' / f'{name}.py' for name in TITLES]
    metrics = [
        {key: read_metric(work_dirs / name, f'coco/{key}') for key in KEYS}
        for name in TITLES
    ]
    costs = measure_cost(configs, SIZE, threads, rounds)
    return [
        dict(detector=title, **found, **cost)
        for title, found, cost in zip(TITLES.values(), metrics, costs)
    ]


def make_table(rows: list[dict]) -> str:
    """Write the rows, with the metrics at the end, as a Markdown table."""
    lines = [
        '| detector | mAP | mAP@50 | AR@100 | parameters (M) | GMACs '
        '| latency (ms) | relative |',
        '| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
    ]
    for row in rows:
        values = ' | '.join(f'{100 * row[key][-1]:.1f}' for key in KEYS)
        lines.append(f'| {row["detector"]} | {values} {cost_cells(row)}')
    return '\n'.join(lines) + '\n'


def draw(rows: list[dict], interval: int, path: Path) -> None:
    """Draw mAP@50 over epochs.

    Args:
        rows: Of :func:`collect`.
        interval: Epochs from one validation to the next.
        path: Picture to write.
    """

    def fill(axes: Any) -> None:
        for row in rows:
            values = [100 * value for value in row['bbox_mAP_50']]
            epochs = [interval * (i + 1) for i in range(len(values))]
            axes.plot(epochs, values, marker='o', label=row['detector'])
        axes.set_xlabel('epoch')
        axes.set_ylabel('mAP@50 on val')
        axes.set_title('EMO-1M on the people of a COCO subset, from scratch')
        axes.legend()

    save_picture(path, fill)


@command
def main() -> None:
    """Write the table, the rows and the picture."""
    parser = make_parser(__doc__, 'one folder a detector')
    parser.add_argument('--interval', type=int, default=3)
    args = parser.parse_args()
    rows = collect(args.work_dirs, args.threads, args.rounds)
    table = make_table(rows)
    write_results(rows, table, args.out / 'detectors')
    draw(rows, args.interval, args.out / 'detectors.png')
    print(table)


if __name__ == '__main__':
    main()
