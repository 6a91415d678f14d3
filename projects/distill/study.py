"""Students with and without a teacher, one training after the other.

    python projects/distill/study.py camvid --data-root data/camvid
    python projects/distill/study.py tenth --data-root data/camvid
    python projects/distill/study.py scenes --data-root data/demo

A run that is complete is not repeated, and one that was stopped goes on from
its newest checkpoint. The table is printed at the end, and alone with
``--only table``.
"""

import argparse
import json
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from lvt_dense.commands.parser import command
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import newest_checkpoint, write_atomically

HERE = Path(__file__).resolve().parent
CONFIGS = HERE / 'configs'
DEMO = HERE.parents[1] / 'configs' / 'ssdlite_mobilevit_xxs_192_demo.py'
SHARE = 10  # one image of so many keeps its labels in `tenth`
DONE = 'done.json'


@dataclass
class Run:
    """One training.

    Attributes:
        name: Folder of the run, without the seed.
        config: Its config.
        options: More options of ``lvt-dense train``; ``U`` stands for
            ``--unlabeled`` with the images without labels.
        teacher: Name of the run that teaches it, which has seed 0.
    """

    name: str
    config: Path
    options: tuple[str, ...] = ()
    teacher: str | None = None


@dataclass
class Study:
    """Trainings to compare.

    Attributes:
        metric: By which they are compared.
        teachers: Trained once.
        students: Trained with each seed.
        needs_split: Whether a tenth of the images keeps its labels.
    """

    metric: str
    teachers: list[Run]
    students: list[Run] = field(default_factory=list)
    needs_split: bool = False


def make_study(name: str, size: str) -> Study:
    """List the trainings of a study.

    Args:
        name: ``camvid``, ``tenth`` or ``scenes``.
        size: Of the teacher: ``xs`` or ``s``; ``scenes`` has ``s`` alone.
    """
    student = CONFIGS / 'camvid_mobilevit_xxs.py'
    larger = CONFIGS / f'camvid_mobilevit_{size}.py'
    if name == 'camvid':
        teacher = f'teacher_{size}'
        return Study(
            'mIoU',
            [Run(teacher, larger)],
            [Run('alone', student), Run('taught', student, teacher=teacher)],
        )
    if name == 'tenth':
        teacher = f'tenth_teacher_{size}'
        return Study(
            'mIoU',
            [Run(teacher, larger)],
            [
                Run('tenth_alone', student),
                Run('tenth_taught', student, teacher=teacher),
                Run('tenth_unlabeled', student, ('U',), teacher),
                Run(
                    'tenth_labels_only',
                    student,
                    ('U', '--distill', 'none'),
                    teacher,
                ),
            ],
            needs_split=True,
        )
    teacher = 'scenes_teacher_s'
    return Study(
        'coco/bbox_mAP_50',
        [Run(teacher, CONFIGS / 'scenes_mobilevit_s.py')],
        [
            Run('scenes_alone', DEMO),
            Run('scenes_pkd', DEMO, teacher=teacher),
            Run('scenes_logits', DEMO, ('--distill', 'logits'), teacher),
        ],
    )


def train(run: Run, seed: int, args: argparse.Namespace, study: Study) -> None:
    """Train, unless it is done; go on, if it was stopped."""
    folder = args.out / f'{run.name}_seed{seed}'
    if (folder / DONE).is_file():
        return
    words = [
        *('lvt-dense', 'train', str(run.config)),
        *('--data-root', str(args.data_root), '--work-dir', str(folder)),
        *('--epochs', str(_epochs(run, args, study)), '--seed', str(seed)),
        *('--workers', '0'),
    ]
    if run.teacher:
        config = next(t.config for t in study.teachers)
        best = args.out / f'{run.teacher}_seed0' / 'best.pth'
        words += ['--teacher', str(config), str(best)]
    unlabeled = args.out / 'unlabeled'
    for option in run.options:
        is_folder = option == 'U'
        words += ['--unlabeled', str(unlabeled)] if is_folder else [option]
    if study.needs_split:
        kept = split(args.data_root, unlabeled)
        words += ['--cfg-options', f'train_dataloader.dataset.indices={kept}']
    if newest_checkpoint(folder):
        words += ['--resume']
    print(f'{folder.name}: {" ".join(words)}', flush=True)
    # The interpreter's own program, wherever the environment lies.
    words[0] = str(Path(sys.executable).with_name('lvt-dense'))
    status = subprocess.run(words).returncode
    if status:
        raise UserError(f'{folder.name} ended with the status {status}')
    values = read_metric(folder, study.metric)
    content = json.dumps(dict(value=values[-1], seconds=seconds_of(folder)))
    write_atomically(folder / DONE, content)


def _epochs(run: Run, args: argparse.Namespace, study: Study) -> int:
    """Give runs with fewer images more epochs, for as many updates."""
    is_tenth = study.needs_split and 'U' not in run.options
    return args.epochs * SHARE if is_tenth else args.epochs


def split(data_root: Path, unlabeled: Path) -> str:
    """Link all but a tenth of CamVid's training images into a folder.

    Returns:
        The indices of the others, as an option of the command line.
    """
    images = sorted((data_root / 'images' / 'train').iterdir())
    unlabeled.mkdir(parents=True, exist_ok=True)
    for index, path in enumerate(images):
        link = unlabeled / path.name
        if index % SHARE and not link.exists():
            link.symlink_to(path.resolve())
    kept = ','.join(str(i) for i in range(0, len(images), SHARE))
    return f'[{kept}]'


def read_metric(folder: Path, key: str) -> list[float]:
    """Read a metric of all validations of a run, in order.

    Raises:
        UserError: The run has no validation.
    """
    found = [line[key] for line in read_scalars(folder) if key in line]
    if not found:
        raise UserError(f'{folder}: no validation')
    return found


def seconds_of(folder: Path) -> float:
    """Return the median time of a training step."""
    steps = [x['time'] for x in read_scalars(folder) if 'loss' in x]
    return statistics.median(steps)


def read_scalars(folder: Path) -> list[dict]:
    """Read what a run has logged."""
    found: list[dict] = []
    for path in sorted(folder.glob('*/vis_data/scalars.json')):
        found += map(json.loads, path.read_text().splitlines())
    return found


def make_table(study: Study, out: Path) -> str:
    """Write what is there as a Markdown table."""
    lines = [
        f'| run | {study.metric} by seed | mean | s a step |',
        '| --- | --- | ---: | ---: |',
    ]
    for run in [*study.teachers, *study.students]:
        paths = sorted(out.glob(f'{run.name}_seed*/{DONE}'))
        rows = [json.loads(path.read_text()) for path in paths]
        if not rows:
            lines.append(f'| {run.name} | not run | | |')
            continue
        values = [row['value'] for row in rows]
        seconds = statistics.median(row['seconds'] for row in rows)
        text = ', '.join(f'{value:.2f}' for value in values)
        mean = statistics.mean(values)
        lines.append(f'| {run.name} | {text} | {mean:.2f} | {seconds:.2f} |')
    return '\n'.join(lines) + '\n'


@command
def main() -> None:
    """Run what is missing, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('study', choices=['camvid', 'tenth', 'scenes'])
    parser.add_argument('--data-root', type=Path, default=Path('data/camvid'))
    parser.add_argument('--teacher', choices=['xs', 's'], default='s')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0, 1, 2])
    parser.add_argument('--epochs', type=int, default=16)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/distill'))
    parser.add_argument('--only', choices=['table'])
    args = parser.parse_args()
    study = make_study(args.study, args.teacher)
    if args.only is None:
        for run in study.teachers:
            train(run, 0, args, study)
        for seed in args.seeds:
            for run in study.students:
                train(run, seed, args, study)
    print(make_table(study, args.out))


if __name__ == '__main__':
    main()
