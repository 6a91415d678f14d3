"""Summarize a training on one's own data: results, weaknesses, suggestions."""

import shlex
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.dist import get_world_size, is_main_process
from mmengine.model import is_model_wrapper
from mmengine.registry import DATASETS
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn

from lvt_dense.analysis.advice import (
    Advice,
    Result,
    UsedSettings,
    add_detection_figures,
    add_semantic_figures,
    advise,
)
from lvt_dense.analysis.recording import Recorder
from lvt_dense.analysis.records import Record
from lvt_dense.checkpoints.read import read_content
from lvt_dense.config import best_checkpoint, dataset_cfgs
from lvt_dense.datasets.balance import find_presence
from lvt_dense.datasets.own.task import task_of
from lvt_dense.engine.hooks import ValidationHook
from lvt_dense.engine.train_samples import kept_random_state, spread
from lvt_dense.report.closing import format_summary
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.text import describe_error

from .report import analyze

NAME = 'result.txt'
# Training images that are predicted on, at most and at least, and how long
# that may take in seconds.
MOST, LEAST, LIMIT = 100, 8, 30.0


@dataclass
class Command:
    """Command line of a training.

    Attributes:
        config: The config.
        data: Folder of the data.
        options: Options with a value that a next training keeps.
        tiles: Whether images are cut into tiles.
        balance: Whether rare classes are drawn more often.
    """

    config: str
    data: str
    options: dict[str, str] = field(default_factory=dict)
    tiles: bool = False
    balance: bool = False

    def again(self, options: Sequence[str]) -> str:
        """Return a command that trains again, with other options."""
        parts = ['lvt-dense', 'train', self.config, '--data', self.data]
        for name, value in self.options.items():
            if name not in options:
                parts += [name, value]
        if self.balance:
            parts.append('--balance')
        return shlex.join([*parts, *options])


def summarize(runner: Runner, watch: ValidationHook, command: Command) -> str:
    """Write and print the summary at the end of a training.

    The figures are those of the best validation of this run. For comparison,
    the model predicts on some training images, for half a minute at most.

    Args:
        runner: The runner, after training.
        watch: Hook that recorded the validations.
        command: Command line of the training.

    Returns:
        The text, which is in ``WORK_DIR/result.txt`` as well; empty without
        a validation, and in all processes but the first.
    """
    if not is_main_process() or not watch.curve or watch.metric is None:
        return ''
    try:
        text = _write(runner, watch, command)
    except Exception as error:  # the training itself is done
        runner.logger.exception(
            f'{NAME} is not written: {describe_error(error)}'
        )
        return ''
    print(f'\n{text}', end='', flush=True)
    return text


def _write(runner: Runner, watch: ValidationHook, command: Command) -> str:
    folder = Path(runner.work_dir)
    result = _result_of(runner, watch)
    checkpoint = best_checkpoint(folder)
    if watch.recorder is not None and watch.recorder.samples:
        _add_figures(result, runner, watch, checkpoint)
    advice = [
        (item, _command_of(item, command, folder))
        for item in advise(result, _read_settings(runner, command))
    ]
    follow = [shlex.join(['lvt-dense', 'report', str(folder)])]
    if checkpoint:
        follow.append(shlex.join(['lvt-dense', 'export', str(folder)]))
    text = format_summary(result, advice, checkpoint, follow)
    write_atomically(folder / NAME, text)
    return text


def _command_of(item: Advice, command: Command, folder: Path) -> str:
    if not item.options:
        return ''
    # Another training gets a folder of its own; one that goes on stays.
    own = str(folder) if '--resume' in item.options else f'{folder}_2'
    return command.again([*item.options, '--work-dir', own])


def _result_of(runner: Runner, watch: ValidationHook) -> Result:
    values = [value for _, value in watch.curve]
    better = max if watch.is_greater else min
    known = runner.message_hub.runtime_info.get('best_score')
    return Result(
        metric=str(watch.metric),
        best=better(values if known is None else [*values, float(known)]),
        curve=watch.curve,
        higher_is_better=watch.is_greater,
    )


def _read_settings(runner: Runner, command: Command) -> UsedSettings:
    loop = runner.train_loop
    return UsedSettings(
        epochs=loop.max_epochs
        if isinstance(loop, EpochBasedTrainLoop)
        else None,
        size=_input_size(runner.cfg),
        tiles=command.tiles,
        balance=command.balance,
        can_tile=task_of(runner.cfg) in ('detection', 'instance'),
    )


def _input_size(cfg: Config) -> int | None:
    """Return the longer side of the network's image in pixels."""
    for dataset in dataset_cfgs(cfg, 'val'):
        for step in dataset.get('pipeline') or []:
            scale = step.get('scale')
            if isinstance(scale, (list, tuple)) and len(scale) == 2:
                return max(scale)
    return None


def _bare(model: Any) -> nn.Module:
    return model.module if is_model_wrapper(model) else model


# --------------------------------------------------------------------- figures
def _add_figures(
    result: Result,
    runner: Runner,
    watch: ValidationHook,
    checkpoint: Path | None,
) -> None:
    recorder = watch.recorder
    assert recorder is not None
    try:
        record = recorder.build({})
    except UserError:  # no truth to compare with
        return
    result.images = len(record.images)
    _fill(result, record, _count(runner))
    sample = _training_record(runner, watch, checkpoint)
    if sample is not None:
        found = Result(result.metric, result.best, [])
        _fill(found, sample, {})
        result.train_score = found.val_score


def _fill(result: Result, record: Record, counts: dict[str, tuple]) -> None:
    analysis = analyze(record, quiet=True)
    if analysis.semantic:
        add_semantic_figures(analysis.semantic, result, counts)
    elif analysis.objects:
        add_detection_figures(analysis.objects, result, counts)


def _parts(dataset: Any) -> Iterator[Any]:
    """Yield the data sets inside of all wrappers."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from _parts(part)
    elif hasattr(dataset, 'dataset'):
        yield from _parts(dataset.dataset)
    else:
        yield dataset


def _count(runner: Runner) -> dict[str, tuple[int, int]]:
    """Count training objects and images of every class."""
    objects: Counter = Counter()
    images: Counter = Counter()
    names: tuple[str, ...] = ()
    for part in _parts(runner.train_loop.dataloader.dataset):
        names = part.metainfo['classes']
        for labels in find_presence(part):
            images.update(labels)
        for i in range(len(part)):
            objects.update(
                item['bbox_label']
                for item in part.get_data_info(i).get('instances') or ()
                if not item.get('ignore_flag')
            )
    return {
        name: (objects[i] or images[i], images[i])
        for i, name in enumerate(names)
    }


# ------------------------------------------------------------- training images
def _training_record(
    runner: Runner, watch: ValidationHook, checkpoint: Path | None
) -> Record | None:
    """Predict on a few training images, as in a validation.

    Returns:
        None if that would take too long, or there are too few images.
    """
    sets = [list(dataset_cfgs(runner.cfg, s)) for s in ('train', 'val')]
    if get_world_size() > 1 or [len(s) for s in sets] != [1, 1]:
        return None
    total = sum(map(len, _parts(runner.train_loop.dataloader.dataset)))
    affordable = int(LIMIT / watch.seconds) if watch.seconds else MOST
    number = min(MOST, total, affordable)
    if number < LEAST:
        return None
    part = deepcopy(sets[0][0])
    part['pipeline'] = sets[1][0]['pipeline']
    part['test_mode'] = True
    dataset = DATASETS.build(part)
    recorder = Recorder(dataset)
    model: Any = _bare(runner.model)
    with (
        torch.no_grad(),
        kept_random_state(),
        _best_weights(model, checkpoint),
    ):
        start = time.perf_counter()
        for index in spread(len(dataset), number):
            if time.perf_counter() - start > LIMIT:
                break
            found = model.val_step(pseudo_collate([dataset[index]]))
            recorder.process(None, [sample.to_dict() for sample in found])
    recorder.samples = recorder.results
    if len(recorder.samples) < LEAST:
        return None
    try:
        return recorder.build({})
    except UserError:
        return None


@contextmanager
def _best_weights(model: nn.Module, checkpoint: Path | None) -> Iterator[None]:
    """Load the weights of a checkpoint temporarily."""
    own, is_training = None, model.training
    if checkpoint:
        own = {k: v.clone() for k, v in model.state_dict().items()}
        content = read_content(checkpoint)
        model.load_state_dict(content['state_dict'], strict=False)
    try:
        model.eval()
        yield
    finally:
        if own:
            model.load_state_dict(own)
        model.train(is_training)
