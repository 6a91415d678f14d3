"""Images a second of the train pipelines against the models' steps.

    python projects/benchmarks/loading.py --data work_dirs/loading

Scenes are rendered in the layout and at the usual size of every data set, and
one process reads, augments and packs them as in training. The step is forward
and backward on a batch of ``--batch`` images that the pipeline gave. Seconds
are those of the processor on one thread, so that other programs do not count.
With ``--transforms`` the time of every transform follows.
"""

import argparse
import contextlib
import io
import statistics
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, MODELS, init_default_scope

from lvt_dense.commands.parser import command
from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.scenes.writers.coco import write_coco
from lvt_dense.scenes.writers.kitti import write_kitti
from lvt_dense.scenes.writers.semantic import write_semantic

WORKERS = 4
VAL_FRACTION = 0.25


class Case(NamedTuple):
    """A train pipeline.

    Attributes:
        title: What it is.
        config: Recipe that has it.
        layout: Of the rendered data.
        size: Width and height of the images in pixels.
    """

    title: str
    config: str
    layout: str
    size: tuple[int, int]


CASES = (
    Case(
        'SSDLite 320, MobileViT',
        'ssdlite_mobilevit_xxs_320_coco',
        'coco',
        (640, 480),
    ),
    Case('SSDLite 320, EMO', 'ssdlite_emo_1m_320_coco', 'coco', (640, 480)),
    Case('RTMDet 640', 'rtmdet_emo_1m_coco', 'coco', (640, 480)),
    Case('RetinaNet 800', 'retinanet_emo_1m_coco', 'coco', (640, 480)),
    Case('Mask R-CNN 800', 'mask_rcnn_emo_coco', 'coco', (640, 480)),
    Case(
        'Mask R-CNN 1024',
        'mask_rcnn_mobilevit_1024_coco',
        'coco',
        (640, 480),
    ),
    Case(
        'DeepLabv3, VOC 512',
        'deeplabv3_mobilevit_xxs_512_voc12aug',
        'voc',
        (500, 375),
    ),
    Case(
        'DeepLabv3, ADE20K 512',
        'deeplabv3_emo_1m_512_ade20k',
        'ade20k',
        (683, 512),
    ),
    Case(
        'DeepLabv3, Cityscapes 512 x 1024',
        'deeplabv3_emo_512x1024_cityscapes',
        'cityscapes',
        (2048, 1024),
    ),
    Case(
        'DeepLabv3, CamVid 360',
        'deeplabv3_mobilevit_xxs_360_camvid',
        'camvid',
        (480, 360),
    ),
    Case(
        'MonoCon, KITTI', 'monocon_mobilevit_xxs_kitti', 'kitti', (1242, 375)
    ),
    Case('FCOS3D, KITTI', 'fcos3d_emo_kitti', 'kitti', (1242, 375)),
)


def render(case: Case, folder: Path, images: int) -> Path:
    """Write the data of a case, unless they are there."""
    root = folder / case.layout
    if root.exists():
        return root
    count = round(images / (1 - VAL_FRACTION))
    if case.layout == 'coco':
        write_coco(root, count, 0, case.size, VAL_FRACTION)
    elif case.layout == 'kitti':
        write_kitti(root, count, 0, case.size, VAL_FRACTION)
    else:
        write_semantic(root, case.layout, count, 0, case.size, VAL_FRACTION)
    return root


def load(cfg: Config) -> Any:
    """Build the training data of a config, without what wraps it."""
    dataset = cfg.train_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    with contextlib.redirect_stdout(io.StringIO()):
        built = DATASETS.build(dataset)
    return built.datasets[0] if hasattr(built, 'datasets') else built


def time_samples(dataset: Any, rounds: int) -> tuple[float, list]:
    """Return images a second of one process, and a few samples."""
    samples = [dataset[i % len(dataset)] for i in range(4)]
    start = time.process_time()
    count = 0
    for _ in range(rounds):
        for i in range(len(dataset)):
            dataset[i]
            count += 1
    return count / (time.process_time() - start), samples


def time_transforms(dataset: Any) -> dict[str, float]:
    """Return the mean milliseconds of every transform for an image."""
    seconds: dict[str, float] = defaultdict(float)
    for i in range(len(dataset)):
        data = dataset.get_data_info(i)
        for transform in dataset.pipeline.transforms:
            start = time.process_time()
            data = transform(data)
            name = type(transform).__name__
            seconds[name] += time.process_time() - start
            if data is None:
                break
    return {k: 1e3 * v / len(dataset) for k, v in seconds.items()}


def time_step(cfg: Config, samples: list, rounds: int = 3) -> float:
    """Return images a second of forward and backward."""
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model).train()
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        data = model.data_preprocessor(pseudo_collate(samples), training=True)
        losses = model(**data, mode='loss')
        model.parse_losses(losses)[0].backward()
        seconds.append(time.process_time() - start)
    return len(samples) / statistics.median(seconds)


def measure(case: Case, args: argparse.Namespace) -> str:
    """Return the line of a case."""
    cfg = load_config(f'configs/{case.config}.py')
    set_data_root(cfg, str(render(case, Path(args.data), args.images)))
    init_default_scope(cfg.default_scope)
    dataset = load(cfg)
    one, samples = time_samples(dataset, args.rounds)
    line = f'{case.title:34}{one:10.1f}{WORKERS * one:10.1f}'
    if args.batch:
        step = time_step(cfg, samples[: args.batch])
        line += f'{step:10.2f}{WORKERS * one / step:10.1f}'
    if args.transforms:
        for name, milliseconds in time_transforms(dataset).items():
            line += f'\n    {name:30}{milliseconds:8.2f} ms'
    return line


@command
def main() -> None:
    """Print one line for every pipeline."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--data', default='work_dirs/loading')
    parser.add_argument('--images', type=int, default=24)
    parser.add_argument('--rounds', type=int, default=1)
    parser.add_argument(
        '--batch', type=int, default=2, help='images a step; 0 for no step'
    )
    parser.add_argument('--only', default='', help='part of the title')
    parser.add_argument('--transforms', action='store_true')
    parser.add_argument('--render', action='store_true', help='data only')
    args = parser.parse_args()
    cases = [case for case in CASES if args.only in case.title]
    if args.render:
        for case in cases:
            render(case, Path(args.data), args.images)
        return
    import_stack()
    torch.set_num_threads(1)
    print(
        f'{"images a second":34}{"1 worker":>10}{f"{WORKERS} workers":>10}'
        f'{"step":>10}{"ratio":>10}'
    )
    for case in cases:
        print(measure(case, args), flush=True)


if __name__ == '__main__':
    main()
