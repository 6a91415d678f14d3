"""Main memory and time of a detector's training steps on a CPU.

    python projects/benchmarks/training_memory.py \
        configs/retinanet_nasvit_coco.py --backbone nasvit_min --batch 2

The images are noise with eight boxes each; the memory is what the steps need
beyond the weights, optimizer included.
"""

import argparse
import time

import torch
from mmdet.structures import DetDataSample
from mmdet.structures.bbox import HorizontalBoxes
from mmdet.structures.mask import BitmapMasks
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from timing import peak_memory

from lvt_dense import swap_backbone
from lvt_dense.registry import MODELS

BOXES = 8


def sample(height: int, width: int) -> DetDataSample:
    """Annotations of one image: boxes with masks that fill them."""
    corners = torch.rand(BOXES, 2) * torch.tensor([width, height]) * 0.7
    sizes = torch.rand(BOXES, 2) * torch.tensor([width, height]) * 0.25 + 8
    boxes = torch.cat((corners, corners + sizes), 1)
    masks = torch.zeros(BOXES, height, width, dtype=torch.uint8)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int()):
        mask[top:bottom, left:right] = 1
    size = dict(img_shape=(height, width), pad_shape=(height, width))
    found = DetDataSample(
        metainfo=dict(batch_input_shape=(height, width), **size)
    )
    found.gt_instances = InstanceData(
        bboxes=HorizontalBoxes(boxes).tensor,
        labels=torch.randint(80, (BOXES,)),
        masks=BitmapMasks(masks.numpy(), height, width),
    )
    found.ignored_instances = InstanceData(bboxes=torch.zeros(0, 4))
    return found


def main() -> None:
    """Print the peak memory and the seconds of a step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('--backbone', help='in place of the own one')
    parser.add_argument('--batch', type=int, default=2)
    parser.add_argument('--size', type=int, nargs=2, default=(800, 1344))
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--steps', type=int, default=3)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cfg = Config.fromfile(args.config)
    if args.backbone:
        cfg = swap_backbone(cfg, args.backbone)
    init_default_scope('mmdet')
    cfg.model.backbone.pop('init_cfg', None)
    model = MODELS.build(cfg.model).train()
    optim = build_optim_wrapper(model, cfg.optim_wrapper)
    seconds: list[float] = []

    def steps() -> None:
        for _ in range(args.steps):
            start = time.perf_counter()
            images = torch.randint(256, (3, *args.size), dtype=torch.uint8)
            data = dict(
                inputs=[images for _ in range(args.batch)],
                data_samples=[sample(*args.size) for _ in range(args.batch)],
            )
            model.train_step(data, optim)
            seconds.append(time.perf_counter() - start)

    peak = peak_memory(steps) / 2**30
    print(f'{peak:.1f} GiB, {min(seconds):.1f} s a step', flush=True)


if __name__ == '__main__':
    main()
