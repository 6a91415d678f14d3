"""Training steps in mixed and in single precision on a GPU.

    python projects/benchmarks/amp.py --data work_dirs/loading

Every recipe trains on one batch of its own pipeline and size, again and
again, from the same weights: once in float32 and once as ``train --amp``
does. Printed are images a second, the memory that PyTorch allocated at most,
and the loss after the last step. In mixed precision it can be higher: steps
are skipped until the scale of the gradients fits.
"""

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from loading import CASES, Case, load, render
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, init_default_scope

from lvt_dense.commands.parser import command
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.engine.train_options import use_amp

RECIPES = (
    'ssdlite_mobilevit_xxs_320_coco',
    'ssdlite_mobilevit_320_coco',
    'ssdlite_emo_1m_320_coco',
    'ssdlite_nasvit_320_coco',
    'ssdlite_plg_vit_lw_r_320_coco',
    'ssdlite_t2t_vit_7_320_coco',
    'rtmdet_emo_1m_coco',
    'retinanet_emo_1m_coco',
    'mask_rcnn_emo_coco',
    'deeplabv3_emo_1m_512_ade20k',
    'deeplabv3_nasvit_512_ade20k',
    'deeplabv3_plg_vit_512_ade20k',
    'deeplabv3_t2t_vit_512_ade20k',
    'monocon_mobilevit_xxs_kitti',
    'fcos3d_emo_kitti',
)
WARM_UP = 3


class Training(NamedTuple):
    """What training steps took.

    Attributes:
        speed: Images a second.
        memory: Allocated at most, in GiB.
        loss: Of the last step.
    """

    speed: float
    memory: float
    loss: float


def case_of(recipe: str) -> Case:
    """Return the data that a recipe reads."""
    same = [case for case in CASES if case.config == recipe]
    layout = next(
        name for name in ('ade20k', 'kitti', 'coco') if name in recipe
    )
    return (same or [case for case in CASES if case.layout == layout])[0]


def make_batch(cfg: Config) -> dict[str, Any]:
    """Read a batch of the recipe's size; images come several times."""
    dataset = load(cfg)
    samples: list[Any] = []
    for index in range(100 * cfg.train_dataloader.batch_size):
        if len(samples) == cfg.train_dataloader.batch_size:
            break
        sample = dataset[index % len(dataset)]
        if sample is not None:
            samples.append(sample)
    return pseudo_collate(samples)


def train(cfg: Config, batch: dict[str, Any], steps: int) -> Training:
    """Train on one batch."""
    torch.manual_seed(0)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    model = MODELS.build(cfg.model)
    model.init_weights()
    model = model.cuda().train()
    optimizer = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in optimizer.param_groups:
        group['lr'] *= 0.1  # there is no warm-up
    seconds = []
    for _ in range(WARM_UP + steps):
        torch.cuda.synchronize()
        start = time.perf_counter()
        logs = model.train_step(batch, optimizer)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    images = len(batch['inputs'])
    return Training(
        images / statistics.median(seconds[WARM_UP:]),
        torch.cuda.max_memory_allocated() / 2**30,
        logs['loss'].item(),
    )


def measure(recipe: str, folder: Path, images: int, steps: int) -> str:
    """Return the row of a recipe."""
    cfg = load_config(f'configs/{recipe}.py')
    set_data_root(cfg, str(render(case_of(recipe), folder, images)))
    init_default_scope(cfg.default_scope)
    cfg.model.backbone.pop('init_cfg', None)
    batch = make_batch(cfg)
    single = train(cfg, batch, steps)
    use_amp(cfg, 'fp16')
    mixed = train(cfg, batch, steps)
    return (
        f'| {recipe} | {len(batch["inputs"])} '
        f'| {single.speed:.0f} | {mixed.speed:.0f} '
        f'| {mixed.speed / single.speed:.2f} '
        f'| {single.memory:.1f} | {mixed.memory:.1f} '
        f'| {single.loss:.3f} | {mixed.loss:.3f} |'
    )


@command
def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', default='work_dirs/loading')
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--steps', type=int, default=12)
    parser.add_argument('--names', nargs='+', default=RECIPES)
    args = parser.parse_args()
    import_stack()
    MMLogger.get_current_instance().setLevel('ERROR')
    print(
        '| recipe | batch | images/s, fp32 | AMP | ratio | GiB, fp32 | AMP '
        '| loss, fp32 | AMP |\n' + '| --- ' + '| ---: ' * 8 + '|'
    )
    for recipe in args.names:
        row = measure(recipe, Path(args.data), args.images, args.steps)
        print(row, flush=True)


if __name__ == '__main__':
    main()
