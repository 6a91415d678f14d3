"""Table and picture of five families trained with one recipe on CamVid.

    python projects/frontier/camvid.py work_dirs

Reads the last validation of each run of the configs in ``camvid/``, counts
parameters and multiply-accumulates, and measures the latency, in turn.
"""

import argparse
import io
import json
from pathlib import Path
from typing import Any

from lvt_dense.apis.benchmark import measure
from lvt_dense.apis.benchmark_subjects import make_subjects
from lvt_dense.apis.complexity import count_complexity
from lvt_dense.commands.cli import command
from lvt_dense.config import load_config
from lvt_dense.errors import UserError
from lvt_dense.files import write_atomically

HERE = Path(__file__).resolve().parent
SIZE = (180, 240)
TITLES = dict(
    mobilevit_xxs='MobileViT-XXS',
    emo_1m='EMO-1M',
    nasvit_min='NASViT-min',
    plg_vit_lw_r='LW PLG-ViT-R',
    t2t_vit_7='T2T-ViT-7',
)


def last_miou(work_dir: Path) -> float:
    """Read the mIoU of the last validation of a run, in percent.

    Raises:
        UserError: The run has none.
    """
    found = []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        lines = map(json.loads, path.read_text().splitlines())
        found += [line['mIoU'] for line in lines if 'mIoU' in line]
    if not found:
        raise UserError(f'{work_dir}: no validation; train there first')
    return found[-1]


def collect(work_dirs: Path, threads: int, rounds: int) -> list[dict]:
    """Collect one row for each family, the best first."""
    import torch

    torch.set_num_threads(threads)
    image = torch.rand(1, 3, *SIZE)
    rows: list[dict[str, Any]] = []
    subjects = []
    for name, title in TITLES.items():
        config = HERE / 'camvid' / f'{name}.py'
        total = count_complexity(load_config(str(config)), SIZE)[0]
        rows.append(
            dict(
                family=title,
                miou=last_miou(work_dirs / name),
                parameters=total.parameters,
                macs=total.macs,
            )
        )
        subjects += make_subjects(str(config), ('eager',), image, threads)
    for row, found in zip(rows, measure(subjects, rounds)):
        row['seconds'], row['ratio'] = found.median, found.ratio
    return sorted(rows, key=lambda row: -row['miou'])


def make_table(rows: list[dict]) -> str:
    """Write the rows as a Markdown table."""
    lines = [
        '| family | mIoU | parameters (M) | GMACs | latency (ms) | relative |',
        '| --- | ---: | ---: | ---: | ---: | ---: |',
    ]
    lines += [
        f'| {row["family"]} | {row["miou"]:.1f} '
        f'| {row["parameters"] / 1e6:.2f} | {row["macs"] / 1e9:.2f} '
        f'| {1e3 * row["seconds"]:.0f} | {row["ratio"]:.2f} |'
        for row in rows
    ]
    return '\n'.join(lines) + '\n'


def draw(rows: list[dict], path: Path) -> None:
    """Draw mIoU over latency, the parameters as areas."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    for row in rows:
        x, y = 1e3 * row['seconds'], row['miou']
        axes.scatter(x, y, s=row['parameters'] / 2e4, alpha=0.5)
        axes.annotate(
            row['family'], (x, y), ha='center', va='center', fontsize=8
        )
    axes.margins(0.2)
    axes.grid(alpha=0.3)
    axes.set_xlabel(f'latency (ms) at {SIZE[0]} x {SIZE[1]}, PyTorch')
    axes.set_ylabel('mIoU on val, 11 classes')
    axes.set_title('DeepLabv3 on CamVid from scratch; area: parameters')
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=100)
    write_atomically(path, content.getvalue())


@command
def main() -> None:
    """Write the table, the rows and the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('work_dirs', type=Path, help='one folder a family')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--out', type=Path, default=HERE / 'results')
    args = parser.parse_args()
    rows = collect(args.work_dirs, args.threads, args.rounds)
    args.out.mkdir(parents=True, exist_ok=True)
    write_atomically(
        args.out / 'camvid.json', json.dumps(rows, indent=1) + '\n'
    )
    write_atomically(args.out / 'camvid.md', make_table(rows))
    draw(rows, args.out / 'camvid.png')
    print(make_table(rows))


if __name__ == '__main__':
    main()
