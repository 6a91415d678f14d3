"""Measure the training steps of a config, and the time of their parts."""

import functools
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch import nn

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import dataset_cfgs, set_data_root
from lvt_dense.engine.data_checks import check_data
from lvt_dense.engine.fast_step import copy_ahead, use_fast_step
from lvt_dense.engine.hooks.compile_hook import CompiledForward, CompileHook
from lvt_dense.engine.initial_weights import prepare_start
from lvt_dense.engine.runner import build_runner, explain_errors
from lvt_dense.engine.train_options import apply_options
from lvt_dense.scenes import write_coco, write_kitti, write_semantic
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

from .benchmark import watch_memory

WARM_UP = 2
RENDERED = 16  # images
# How deep in the model layers are told from losses: a head's own layers.
_DEPTH = 3
DATA, COPY, FORWARD, LOSS, BACKWARD, OPTIMIZER = (
    'waiting for data',
    'batch to device',
    'forward',
    'loss and targets',
    'backward',
    'optimizer',
)
_ADVICE = {
    DATA: 'load faster: more --workers (now {workers}), fewer or cheaper '
    'transforms, images on a faster disk',
    COPY: 'let the pipeline resize the images, so that less is copied and '
    'normalized',
    FORWARD: 'the network itself: {network}',
    LOSS: 'losses computed image by image wait for each: the heads of '
    'lvt_dense compute those of a batch at once; Mask R-CNN needs compiled '
    'operators, see "lvt-dense doctor"',
    BACKWARD: 'the network itself: {network}',
    OPTIMIZER: 'update less often: a larger batch, or '
    'optim_wrapper.accumulative_counts',
}
_NETWORK = dict(
    cuda='--amp fp16 or bf16, --compile, or a larger batch if images/s still '
    'grow with it',
    cpu='--amp bf16 where the CPU has it, --compile, smaller images or a '
    'smaller backbone',
)


@dataclass
class TrainingMeasurement:
    """What training steps took.

    Attributes:
        config: Name of the config.
        device: Device.
        batch: Images a step.
        steps: Steps measured.
        images_per_second: With the waits for data.
        seconds: Median time of every part of a step.
        memory: Growth of the process at most, in bytes; on a GPU the memory
            that PyTorch allocated at most.
        advice: What would help the largest part.
    """

    config: str
    device: str
    batch: int
    steps: int
    images_per_second: float
    seconds: dict[str, float]
    memory: int
    advice: str


def benchmark_training(
    cfg: Config,
    steps: int = 20,
    has_data: bool = True,
    out: str | None = None,
    **options: Any,
) -> TrainingMeasurement:
    """Measure the training steps of a config.

    Steps are first run as in training, for the images a second, then with a
    wait for the device after every part. Weights are random. Hooks, such as
    averages of weights, are left out.

    Args:
        cfg: Config; changed in place.
        steps: Steps to measure, each of the two ways.
        has_data: Whether the data are there; else scenes are rendered in
            their layout.
        out: ``.json`` file to write.
        **options: ``device``, ``batch_size``, ``workers``, ``amp`` and
            ``compile``, as in training.

    Raises:
        UserError: An option or the data cannot be used.
    """
    if steps < 1:
        raise UserError(f'--steps {steps}: must be at least 1')
    with _prepared(cfg, has_data, options):
        found = _measure(cfg, steps)
    if out:
        text = json.dumps(asdict(found), indent=1)
        write_atomically(Path(out), text + '\n')
    return found


def time_step(cfg: Config, steps: int, most: float, **options: Any) -> float:
    """Time the training step of a config, data loading included.

    Args:
        cfg: Config whose data are there; changed in place.
        steps: Steps to measure, after those of the warm-up.
        most: Seconds after which no other step begins.
        **options: As those of :func:`benchmark_training`.

    Returns:
        Median seconds of a step; of the last one, if the time was over in
        the warm-up.
    """
    with _prepared(cfg, True, options):
        timer = StepTimer(get_device())
        step = _prepare_step(cfg, timer)
        marks = [time.perf_counter()]
        for _ in range(WARM_UP + steps):
            step()
            timer.wait()
            marks.append(time.perf_counter())
            if marks[-1] - marks[0] >= most:
                break
    spent = [end - start for start, end in pairwise(marks)]
    return statistics.median(spent[WARM_UP:] or spent[-1:])


@contextmanager
def _prepared(
    cfg: Config, has_data: bool, options: dict[str, Any]
) -> Iterator[None]:
    """Leave of a config what its steps need, and a folder for them."""
    import_stack()
    with tempfile.TemporaryDirectory() as folder:
        if not has_data:
            render_data(cfg, Path(folder, 'data'))
        check_data(cfg, ['train'])
        apply_options(cfg, **options)
        use_fast_step(cfg)
        _keep_steps_only(cfg, folder)
        with explain_errors(cfg):
            yield


def render_data(cfg: Config, root: Path) -> None:
    """Render scenes in the layout of a config's data, and point it there.

    Raises:
        UserError: The layout is none that can be rendered.
    """
    scope = cfg.get('default_scope')
    layouts = {
        _layout_of(find_class(DATASETS, dict(dataset), scope))
        for dataset in dataset_cfgs(cfg, 'train')
    }
    layout = layouts.pop() if len(layouts) == 1 else None
    if layout is None:
        raise UserError(
            f'{cfg.filename} reads data that cannot be rendered: give '
            '--data-root or --data'
        )
    if layout == 'coco':
        write_coco(root, RENDERED, size=(640, 480))
    elif layout == 'kitti':
        write_kitti(root, RENDERED)
    else:
        write_semantic(root, layout, RENDERED)
    set_data_root(cfg, str(root))


def _layout_of(kind: type) -> str | None:
    from lvt_dense.datasets.kitti.dataset import KittiMonoDataset

    layouts: dict[type, str] = {KittiMonoDataset: 'kitti'}
    if find_spec('mmdet'):
        from mmdet.datasets import CocoDataset

        layouts[CocoDataset] = 'coco'
    if find_spec('mmseg'):
        from mmseg import datasets

        from lvt_dense.datasets.camvid import CamVidDataset

        layouts |= {
            datasets.ADE20KDataset: 'ade20k',
            datasets.CityscapesDataset: 'cityscapes',
            datasets.PascalVOCDataset: 'voc',
            CamVidDataset: 'camvid',
        }
    return layouts.get(kind)


def _keep_steps_only(cfg: Config, folder: str) -> None:
    """Leave nothing but steps, which never run out of images."""
    prepare_start(cfg, 'none', False)
    for split in ('val', 'test'):
        for part in ('dataloader', 'cfg', 'evaluator'):
            cfg[f'{split}_{part}'] = None
    cfg.work_dir = folder
    cfg.log_level = 'ERROR'
    cfg.vis_backends = []
    cfg.visualizer = dict(type='Visualizer')
    cfg.param_scheduler = None
    loader = cfg.train_dataloader
    if 'base_size' not in (loader.get('batch_sampler') or {}):
        loader.sampler = dict(type='InfiniteSampler', shuffle=True)
        loader.pop('shuffle', None)


def _measure(cfg: Config, steps: int) -> TrainingMeasurement:
    timer = StepTimer(get_device())
    step = _prepare_step(cfg, timer)
    with watch_memory(timer.device) as peak:
        for _ in range(WARM_UP):
            step()
        timer.wait()
        start = time.perf_counter()
        free = [step() for _ in range(steps)]
        timer.wait()
        spent = time.perf_counter() - start
    timer.is_watching = True
    parts = [step() for _ in range(steps)]
    # A loader would catch up in the waits of the second kind.
    medians = {
        name: statistics.median(
            part[name] for part in (free if name == DATA else parts)
        )
        for name in (DATA, COPY, FORWARD, LOSS, BACKWARD, OPTIMIZER)
    }
    largest = max(medians, key=lambda name: medians[name])
    advice = _ADVICE[largest].format(
        workers=cfg.train_dataloader.get('num_workers', 0),
        network=_NETWORK['cuda' if timer.device == 'cuda' else 'cpu'],
    )
    batch = cfg.train_dataloader.batch_size
    return TrainingMeasurement(
        Path(cfg.filename or 'config').stem,
        timer.device,
        batch,
        steps,
        batch * steps / spent,
        medians,
        peak[0],
        f'{largest} takes most: {advice}',
    )


def _prepare_step(
    cfg: Config, timer: 'StepTimer'
) -> Callable[[], dict[str, float]]:
    """Build what takes a step, and returns the seconds of its parts."""
    runner = build_runner(cfg)
    model: Any = runner.model
    copy_ahead(model)
    model.init_weights()
    for hook in runner.hooks:
        if isinstance(hook, CompileHook):
            hook.before_train(runner)
    optimizer = runner.build_optim_wrapper(runner.optim_wrapper)
    for group in optimizer.param_groups:
        group['lr'] *= 0.01  # there is no warm-up
    model.train()
    batches = _endless(
        Runner.build_dataloader(cfg.train_dataloader, seed=runner.seed)
    )
    timer.tell_apart(model, optimizer)

    def step() -> dict[str, float]:
        timer.seconds = defaultdict(float)
        with timer.part(DATA):
            batch = next(batches)
        with timer.part(LOSS):
            model.train_step(batch, optimizer)
        return timer.seconds

    return step


def _endless(loader: Any) -> Iterator[Any]:
    while True:
        yield from loader


class StepTimer:
    """Share the time of a step among its parts.

    A part that lies in another one is not counted there.

    Args:
        device: ``cpu``, ``cuda`` and so on.

    Attributes:
        seconds: Time of every part so far.
        is_watching: Whether to wait for the device after every part, so that
            a part has the time of its kernels.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.is_watching = False
        self._open: list[str] = []
        self._since = 0.0

    def wait(self) -> None:
        """Wait for the device."""
        if self.device == 'cuda':
            torch.cuda.synchronize()

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count the time of a block for a part."""
        self._enter(name)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, name: str) -> None:
        self._count()
        self._open.append(name)

    def _leave(self) -> None:
        self._count()
        self._open.pop()

    def _count(self) -> None:
        if self.is_watching:
            self.wait()
        now = time.perf_counter()
        if self._open:
            self.seconds[self._open[-1]] += now - self._since
        self._since = now

    def tell_apart(self, model: nn.Module, optimizer: Any) -> None:
        """Count layers, losses and updates by themselves from here on.

        Layers of a compiled part are counted as one: a clock between them
        would break the part up.
        """
        inner = {
            layer
            for part in model.modules()
            if isinstance(vars(part).get('forward'), CompiledForward)
            for layer in part.modules()
            if layer is not part
        }
        for name, module in model.named_modules():
            if name == 'data_preprocessor':
                self._watch_calls(module, COPY)
            elif module in inner:
                continue
            elif name and name.count('.') < _DEPTH and _has_weights(module):
                self._watch_calls(module, FORWARD)
        for method, part in (
            ('backward', BACKWARD),
            ('step', OPTIMIZER),
            ('zero_grad', OPTIMIZER),
        ):
            call = self._timed(getattr(optimizer, method), part)
            setattr(optimizer, method, call)

    def _watch_calls(self, module: nn.Module, name: str) -> None:
        module.register_forward_pre_hook(lambda *_: self._enter(name))
        module.register_forward_hook(
            lambda *_: self._leave(), always_call=True
        )

    def _timed(self, call: Callable, name: str) -> Callable:
        @functools.wraps(call)
        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.part(name):
                return call(*args, **kwargs)

        return timed


def _has_weights(module: nn.Module) -> bool:
    """Tell layers from losses."""
    return next(module.parameters(), None) is not None


def format_training(found: TrainingMeasurement) -> str:
    """Return a measurement as text with a Markdown table."""
    total = sum(found.seconds.values())
    lines = [
        f'{found.config}, batches of {found.batch} on {found.device}, '
        f'{found.steps} steps: {found.images_per_second:.2f} images/s, '
        f'{found.memory / 2**20:.0f} MiB at most',
        '',
        '| part of a step | ms | share |',
        '| --- | ---: | ---: |',
    ]
    lines += [
        f'| {name} | {1000 * seconds:.1f} | {seconds / total:.0%} |'
        for name, seconds in found.seconds.items()
    ]
    return '\n'.join([*lines, '', found.advice])
