"""The pure PyTorch operators against mmcv's compiled ones.

    python projects/benchmarks/ops.py --threads 2

Needs the compiled mmcv (`make ops`). Single operators first, then whole
models: the prediction of the demo's SSDLite and training steps of a Mask
R-CNN, on noise with eight boxes an image.
"""

import argparse
import sys
from collections.abc import Callable
from types import ModuleType

import torch
from mmcv import ops
from mmengine.config import Config
from mmengine.registry import init_default_scope
from timing import compare
from torch import Tensor
from training_memory import sample

from lvt_dense.ops import using_compiled
from lvt_dense.ops.stand_in import NAME, StandIn
from lvt_dense.registry import MODELS


def make_boxes(n: int, size: float = 640.0) -> Tensor:
    """Make boxes of 8 to 200 pixels."""
    corner = torch.rand(n, 2) * size
    return torch.cat([corner, corner + torch.rand(n, 2) * 192 + 8], 1)


def make_regions(n: int, images: int, size: float) -> Tensor:
    """Make regions for RoIAlign on a map of stride 8: bins of 1 to 4 px."""
    corner = torch.rand(n, 2) * size * 0.7
    boxes = torch.cat([corner, corner + torch.rand(n, 2) * 168 + 56], 1)
    return torch.cat([torch.randint(images, (n, 1)).float(), boxes], 1)


def suppression(n: int, classes: int) -> Callable[[], object]:
    """Return batched NMS of n boxes."""
    boxes, scores = make_boxes(n), torch.rand(n)
    labels = torch.randint(classes, (n,))
    cfg = dict(type='nms', iou_threshold=0.5)
    return lambda: ops.batched_nms(boxes, scores, labels, cfg)


def soft_suppression(n: int) -> Callable[[], object]:
    """Return soft NMS of n boxes."""
    boxes, scores = make_boxes(n), torch.rand(n)
    return lambda: ops.soft_nms(boxes, scores, 0.5, min_score=0.05)


def rotated_suppression(n: int) -> Callable[[], object]:
    """Return NMS of n rotated boxes."""
    span = torch.tensor([640, 640, 100, 100, 3.0])
    boxes, scores = torch.rand(n, 5) * span + 4, torch.rand(n)
    return lambda: ops.nms_rotated(boxes, scores, 0.3)


def pooling(backward: bool) -> Callable[[], object]:
    """Return RoIAlign of 512 regions on two maps of 256 channels."""
    maps = torch.randn(2, 256, 80, 80, requires_grad=backward)
    regions = make_regions(512, 2, 640)

    def run() -> None:
        output = ops.roi_align(maps, regions, (7, 7), 1 / 8, 0, 'avg', True)
        if backward:
            torch.autograd.grad(output.sum(), maps)

    return run


def convolution() -> Callable[[], object]:
    """Return forward and backward of a modulated deformable convolution."""
    x = torch.randn(1, 128, 40, 40, requires_grad=True)
    offset = torch.randn(1, 18, 40, 40, requires_grad=True)
    mask = torch.rand(1, 9, 40, 40, requires_grad=True)
    weight = torch.randn(128, 128, 3, 3, requires_grad=True)

    def run() -> None:
        output = ops.modulated_deform_conv2d(
            x, offset, mask, weight, None, 1, 1
        )
        torch.autograd.grad(output.sum(), (x, offset, mask, weight))

    return run


def build(path: str) -> torch.nn.Module:
    """Build the model of a config, without its weights."""
    cfg = Config.fromfile(path)
    init_default_scope('mmdet')
    cfg.model.backbone.pop('init_cfg', None)
    return MODELS.build(cfg.model)


def demo_prediction() -> Callable[[], object]:
    """Return the prediction of the demo's model on 16 images."""
    model = build('configs/ssdlite_mobilevit_xxs_192_demo.py').eval()
    images = [torch.randint(255, (3, 192, 192)).byte() for _ in range(16)]
    samples = [sample(192, 192) for _ in images]
    for one in samples:
        one.set_metainfo(dict(scale_factor=(1, 1), ori_shape=(192, 192)))

    @torch.no_grad()
    def run() -> None:
        model.test_step(dict(inputs=images, data_samples=samples))

    return run


def mask_rcnn_step() -> Callable[[], object]:
    """Return a training step, without the optimizer, of two images."""
    model = build('configs/mask_rcnn_mobilevit_coco.py').train()
    images = [torch.randint(255, (3, 320, 320)).byte() for _ in range(2)]
    samples = [sample(320, 320) for _ in images]

    def run() -> None:
        data = dict(inputs=images, data_samples=samples)
        data = model.data_preprocessor(data, training=True)
        losses = model(**data, mode='loss')
        model.parse_losses(losses)[0].backward()

    return run


def switch(module: ModuleType) -> None:
    """Let mmcv's functions use the operators of a module."""
    for name, user in list(sys.modules.items()):
        if name.startswith('mmcv.ops.') and hasattr(user, 'ext_module'):
            user.ext_module = module


def main() -> None:
    """Print the milliseconds and the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--only', help='cases with this in their name')
    args = parser.parse_args()
    if not using_compiled():
        parser.error('mmcv has no compiled operators here: `make ops`')
    torch.set_num_threads(args.threads)
    compiled, pure = sys.modules[NAME], StandIn(NAME)
    cases = {
        'batched NMS, 2,000 boxes in 80 classes': lambda: suppression(
            2000, 80
        ),
        'NMS, 2,000 boxes': lambda: suppression(2000, 1),
        'batched NMS, 8,000 boxes on 5 levels': lambda: suppression(8000, 5),
        'soft NMS, 1,000 boxes': lambda: soft_suppression(1000),
        'rotated NMS, 500 boxes': lambda: rotated_suppression(500),
        'RoIAlign, 512 regions, forward': lambda: pooling(False),
        'RoIAlign, 512 regions, both': lambda: pooling(True),
        'deformable convolution, both': convolution,
        'SSDLite of the demo, 16 images': demo_prediction,
        'Mask R-CNN, training step': mask_rcnn_step,
    }
    print(f'{"":40s}  compiled         pure  pure / compiled')
    for name, make in cases.items():
        if args.only and args.only not in name:
            continue
        torch.manual_seed(0)
        run = make()

        def turn(module: ModuleType, run: Callable = run) -> None:
            switch(module)
            run()

        found = compare(
            lambda turn=turn: turn(compiled),
            lambda turn=turn: turn(pure),
            args.rounds,
        )
        print(
            f'{name:40s}{found.reference * 1e3:8.1f} ms '
            f'{found.ours * 1e3:8.1f} ms  {1 / found.ratio:6.2f}',
            flush=True,
        )


if __name__ == '__main__':
    main()
