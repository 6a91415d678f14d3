"""Table and picture of six families trained with one recipe on CamVid.

    python projects/frontier/camvid.py work_dirs

Reads the last validation of each run of the configs in ``camvid/``, counts
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
SIZE = (180, 240)
TITLES = dict(
    mobilevit_xxs='MobileViT-XXS',
    emo_1m='EMO-1M',
    emov2_1m='EMOv2-1M',
    nasvit_min='NASViT-min',
    plg_vit_lw_r='LW PLG-ViT-R',
    t2t_vit_7='T2T-ViT-7',
)


def collect(work_dirs: Path, threads: int, rounds: int) -> list[dict]:
    """Collect one row for each family, the best first."""
    configs = [HERE / 'camvid' / f'{name}.py' for name in TITLES]
    mious = [read_metric(work_dirs / name, 'mIoU')[-1] for name in TITLES]
    costs = measure_cost(configs, SIZE, threads, rounds)
    rows = [
        dict(family=title, miou=miou, **cost)
        for title, miou, cost in zip(TITLES.values(), mious, costs)
    ]
    return sorted(rows, key=lambda row: -row['miou'])


def make_table(rows: list[dict]) -> str:
    """Write the rows as a Markdown table."""
    lines = [
        '| family | mIoU | parameters (M) | GMACs | latency (ms) | relative |',
        '| --- | ---: | ---: | ---: | ---: | ---: |',
    ]
    lines += [
        f'| {row["family"]} | {row["miou"]:.1f} {cost_cells(row)}'
        for row in rows
    ]
    return '\n'.join(lines) + '\n'


def draw(rows: list[dict], path: Path) -> None:
    """Draw mIoU over latency, the parameters as areas."""

    def fill(axes: Any) -> None:
        for row in rows:
            x, y = 1e3 * row['seconds'], row['miou']
            axes.scatter(x, y, s=row['parameters'] / 2e4, alpha=0.5)
            axes.annotate(
                row['family'], (x, y), ha='center', va='center', fontsize=8
            )
        axes.margins(0.2)
        axes.set_xlabel(f'latency (ms) at {SIZE[0]} x {SIZE[1]}, PyTorch')
        axes.set_ylabel('mIoU on val, 11 classes')
        axes.set_title('DeepLabv3 on CamVid from scratch; area: parameters')

    save_picture(path, fill)


@command
def main() -> None:
    """Write the table, the rows and the picture."""
    args = make_parser(__doc__, 'one folder a family').parse_args()
    rows = collect(args.work_dirs, args.threads, args.rounds)
    table = make_table(rows)
    write_results(rows, table, args.out / 'camvid')
    draw(rows, args.out / 'camvid.png')
    print(table)


if __name__ == '__main__':
    main()
