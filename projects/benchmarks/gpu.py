"""Training steps on a GPU, before and after, in ten minutes.

    git worktree add /tmp/before v0.1.0
    python projects/benchmarks/gpu.py --before /tmp/before

Every recipe trains on one batch of rendered scenes that stays in memory, in
processes of its own with the code of ``--before`` and with this one, in turn.
Printed are images a second, memory, and how often a step waits for the GPU
(``torch.cuda.set_sync_debug_mode``). Then single images, eager and as a CUDA
graph. Without ``--before`` this code is measured alone.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch

HERE = Path(__file__).resolve()
WARM_UP = 3
# In float16, and in bfloat16, as AmpOptimWrapper takes them.
DTYPES = dict(fp16='float16', bf16='bfloat16')
BACKBONES = ('mobilevit_xxs', 'emo_1m', 'emo_5m', 'nasvit_min')


class Row(NamedTuple):
    """A recipe as it is measured.

    Attributes:
        recipe: Name of the config.
        layout: Of the rendered data.
        batch: Images a step.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        target: Images a second to reach on an H200; 0 for none.
        variant: ``compile`` or ``channels_last``; measured after alone.
    """

    recipe: str
    layout: str
    batch: int
    precision: str
    target: int = 0
    variant: str = ''


ROWS = (
    Row('ssdlite_mobilevit_xxs_320_coco', 'coco', 128, 'bf16', 1500),
    Row('mask_rcnn_emo_coco', 'coco', 16, 'fp16', 60),
    Row('retinanet_emo_1m_coco', 'coco', 16, 'fp16', 150),
    Row('deeplabv3_emo_1m_512_ade20k', 'ade20k', 16, 'fp16', 200),
    Row('ssdlite_mobilevit_xxs_320_coco', 'coco', 128, 'fp32'),
    Row('ssdlite_mobilevit_xxs_320_coco', 'coco', 128, 'bf16', 0, 'compile'),
    Row(
        'ssdlite_mobilevit_xxs_320_coco',
        'coco',
        128,
        'bf16',
        0,
        'channels_last',
    ),
    Row(
        'deeplabv3_emo_1m_512_ade20k',
        'ade20k',
        16,
        'fp16',
        0,
        'channels_last',
    ),
)


def prepare(row: Row, folder: Path, side: int | None) -> None:
    """Write the config of a row, and a batch of its own pipeline."""
    from mmengine.dataset import pseudo_collate
    from mmengine.registry import DATASETS, init_default_scope

    from lvt_dense.compat.stack import import_stack
    from lvt_dense.config import load_config, set_data_root
    from lvt_dense.scenes import write_coco, write_semantic

    import_stack()
    root = folder / row.layout
    if not root.exists():
        if row.layout == 'coco':
            write_coco(root, 16, size=(640, 480))
        else:
            write_semantic(root, row.layout, 16)
    cfg = load_config(str(HERE.parents[2] / 'configs' / f'{row.recipe}.py'))
    set_data_root(cfg, str(root))
    cfg.model.backbone.pop('init_cfg', None)
    cfg.train_dataloader.batch_size = row.batch
    if side:
        _shrink(cfg.train_dataloader, side)
        _shrink(cfg.model, side)
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    samples: list[Any] = []
    while len(samples) < row.batch:
        sample = dataset[len(samples) % len(dataset)]
        if sample is not None:
            samples.append(sample)
    torch.save(pseudo_collate(samples), folder / 'batch.pt')
    cfg.dump(str(folder / 'config.py'))


def _shrink(part: Any, side: int) -> None:
    """Set the sizes in a part of a config to squares, in place."""
    if isinstance(part, dict):
        for key, value in part.items():
            if key in ('scale', 'crop_size', 'size') and value is not None:
                part[key] = (side, side)
            else:
                _shrink(value, side)
    elif isinstance(part, (list, tuple)):
        for value in part:
            _shrink(value, side)


def work(row: Row, folder: Path, device: str, seconds: float) -> dict:
    """Measure a row with the code that this process imports.

    Only what both codes have is used, apart from the faster settings.
    """
    from mmengine.config import Config
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import MODELS, init_default_scope

    import lvt_dense  # noqa: F401  (before MMEngine looks for its scope)

    with suppress(ImportError):
        import mmdet.models  # noqa: F401
    with suppress(ImportError):
        import mmseg.models  # noqa: F401
    cfg = Config.fromfile(str(folder / 'config.py'))
    init_default_scope(cfg.default_scope)
    if row.precision != 'fp32' and device == 'cuda':
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.dtype = DTYPES[row.precision]
    torch.manual_seed(0)
    with suppress(ImportError):
        from lvt_dense.engine.fast_step import copy_ahead, use_fast_step

        use_fast_step(cfg)
        torch.backends.cudnn.benchmark = 'Cudnn' in str(cfg.custom_hooks)
    model = MODELS.build(cfg.model)
    model.init_weights()
    model = model.to(device).train()
    with suppress(NameError):
        copy_ahead(model)
    if row.variant == 'compile':
        model.backbone.compile(dynamic=False)
        model.neck.compile(dynamic=False)
    if row.variant == 'channels_last':
        model = model.to(memory_format=torch.channels_last)
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in optimizer.param_groups:
        group['lr'] *= 0.01  # there is no warm-up
    batch = torch.load(folder / 'batch.pt', weights_only=False)

    def step() -> None:
        model.train_step(batch, optimizer)

    for _ in range(WARM_UP):
        step()
    waits = count_waits(step) if device == 'cuda' else 0
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds or count < 2:
        step()
        count += 1
        if count % 4 == 0:
            _wait(device)  # else a fast host runs far ahead
    _wait(device)
    spent = time.perf_counter() - start
    memory = torch.cuda.max_memory_allocated() if device == 'cuda' else 0
    return dict(
        speed=row.batch * count / spent, memory=memory / 2**30, waits=waits
    )


def count_waits(step: Any) -> int:
    """Count how often a step waits for the GPU."""
    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter('always')
            step()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    return sum('synchronizing' in str(item.message) for item in seen)


def _wait(device: str) -> None:
    if device == 'cuda':
        torch.cuda.synchronize()


def run_worker(
    row: Row, folder: Path, code: Path, device: str, seconds: float
) -> dict | None:
    """Measure a row in a process of its own; None if it fails."""
    job = folder / 'job.json'
    order = dict(row=row, device=device, seconds=seconds)
    job.write_text(json.dumps(order))
    done = subprocess.run(
        [sys.executable, str(HERE), '--work', str(folder)],
        env=dict(os.environ, PYTHONPATH=str(code)),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        print(done.stderr.strip().splitlines()[-1], file=sys.stderr)
        return None
    return json.loads(done.stdout.splitlines()[-1])


def format_row(row: Row, before: dict | None, after: dict | None) -> str:
    """Return a row of the table."""

    def cells(found: dict | None) -> list[str]:
        if found is None:
            return ['', '', '']
        return [
            f'{found["speed"]:.1f}',
            f'{found["memory"]:.1f}',
            str(found['waits']),
        ]

    ratio = f'{after["speed"] / before["speed"]:.2f}' if (
        before and after
    ) else ''  # fmt: skip
    name = f'{row.recipe} {row.variant}'.strip()
    target = str(row.target or '')
    parts = [name, row.batch, row.precision, *cells(before), *cells(after)]
    return '| ' + ' | '.join(map(str, [*parts, ratio, target])) + ' |'


HEAD = (
    '| recipe | batch | precision | images/s before | GiB | waits '
    '| after | GiB | waits | ratio | wanted |\n' + '| --- ' * 11 + '|'
)


def measure_images(device: str, side: int | None, rounds: int) -> str:
    """Return the table of single images, eager and as a CUDA graph."""
    from lvt_dense.apis.benchmark import benchmark, format_measurements

    modes = ['eager', 'cudagraph'] if device == 'cuda' else ['eager']
    size = (side or 512, side or 512)
    names = BACKBONES if device == 'cuda' else BACKBONES[:1]
    tables = [
        format_measurements(
            benchmark([n], size, modes=modes, rounds=rounds, device=device), 1
        )
        for n in names
    ]
    rows = [line for table in tables for line in table.splitlines()[2:]]
    return '\n'.join([*tables[0].splitlines()[:2], *rows])


@contextmanager
def kept_or_temporary(path: str | None) -> Any:
    """Give the folder of a path, or one that is removed again."""
    if path:
        Path(path).mkdir(parents=True, exist_ok=True)
        yield Path(path).resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--before', help='checkout of the code of before')
    parser.add_argument('--data', help='folder that keeps the rendered data')
    parser.add_argument('--device', default='cuda', choices=['cuda', 'cpu'])
    parser.add_argument(
        '--seconds', type=float, default=12, help='of each measurement'
    )
    parser.add_argument('--only', default='', help='part of a recipe')
    parser.add_argument('--batch', type=int, help='images a step, in all')
    parser.add_argument('--side', type=int, help='of the images, in pixels')
    parser.add_argument('--work', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.work:
        folder = Path(args.work)
        order = json.loads((folder / 'job.json').read_text())
        found = work(
            Row(*order['row']), folder, order['device'], order['seconds']
        )
        print(json.dumps(found))
        return
    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('there is no GPU: --device cpu tries the script out')
    rows = [row for row in ROWS if args.only in row.recipe]
    print(HEAD, flush=True)
    with kept_or_temporary(args.data) as folder:
        for row in rows:
            if args.batch:
                row = row._replace(batch=args.batch)
            prepare(row, folder, args.side)
            codes = [HERE.parents[2]]
            if args.before and not row.variant:
                codes.insert(0, Path(args.before).resolve())
            found = [
                run_worker(row, folder, code, args.device, args.seconds)
                for code in codes
            ]
            before = found[0] if len(found) > 1 else None
            print(format_row(row, before, found[-1]), flush=True)
    print('\n' + measure_images(args.device, args.side, 20), flush=True)


if __name__ == '__main__':
    main()
