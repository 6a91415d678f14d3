"""Plan a training: read the data, time a step, choose, write a config."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config, set_data_root
from lvt_dense.datasets.own import use_data
from lvt_dense.engine.augment import RECIPE, use_augment
from lvt_dense.engine.runner import avoid_mps
from lvt_dense.engine.schedules import count_images
from lvt_dense.engine.train_options import (
    use_device,
    use_seed,
    use_workers,
)
from lvt_dense.runtime import Tiling
from lvt_dense.swap import swap_backbone, write_config
from lvt_dense.utils import clock
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import newest_checkpoint

from . import choices as rules
from . import fit
from .choices import Budget, Choice
from .facts import DataFacts, choose_task, facts_of_tiles, read_facts
from .machine import Machine, find_machine, silence_log, time_step
from .recipes import TASKS, Recipe
from .start import PlannedStart, find_start, use_start
from .text import describe_time, format_command, format_header, format_plan


@dataclass
class Request:
    """What the user asked for; None lets the plan choose.

    Attributes:
        data: Folder of labeled images of one's own.
        data_root: Folder of the recipe's own data set, in place of it.
        config: Config; without one, a recipe is chosen.
        minutes: Time for all.
        task: One of :data:`.recipes.TASKS`.
        goal: Where the model is to run, one of :data:`.recipes.GOALS`.
        epochs: Passes through the data.
        batch_size: Images of an update, on each GPU.
        augment: Preset of augmentation.
        pretrained: Weights of the backbone.
        backbone: Backbone to swap in.
        classes: Part of the classes.
        tiling: Tiles that the images are cut into.
        options: Values of the config, by dotted key; they override the plan.
        work_dir: Folder of the training.
        gpus: Processes that train together.
        kept: Other options of the command, for the training.
        begin: When the command began, see :mod:`lvt_dense.utils.clock`.
    """

    data: str | None = None
    data_root: str | None = None
    config: str | None = None
    minutes: float | None = None
    task: str | None = None
    goal: str | None = None
    epochs: int | None = None
    batch_size: int | None = None
    augment: str | None = None
    pretrained: str | None = None
    backbone: str | None = None
    classes: Sequence[str] | None = None
    tiling: Tiling | None = None
    options: dict[str, Any] = field(default_factory=dict)
    work_dir: str | None = None
    gpus: int = 1
    kept: dict[str, Any] = field(default_factory=dict)
    begin: float = field(default_factory=clock.now)


@dataclass(frozen=True)
class Plan:
    """A finished plan.

    Attributes:
        file: Config that was written.
        work_dir: Folder of the training.
        command: Command that trains it again.
        choices: Choices with their reasons.
    """

    file: Path
    work_dir: Path
    command: str
    choices: list[Choice]


def check_request(request: Request) -> None:
    """Refuse options that contradict each other.

    Raises:
        UserError: Some do.
    """
    if request.config is None and request.data is None:
        raise UserError('give a config, or --data DIR to have one chosen')
    if request.config is not None:
        for name, value in (('task', request.task), ('for', request.goal)):
            if value is not None:
                raise UserError(
                    f'--{name} {value} chooses a recipe, but {request.config} '
                    'is given: leave out one of them'
                )
    minutes, epochs = request.minutes, request.epochs
    if minutes is not None and minutes <= 0:
        raise UserError(f'--minutes {minutes:g}: must be above 0')
    if minutes is not None and epochs is not None:
        raise UserError(
            f'--minutes {minutes:g} and --epochs {epochs} both set the '
            f'length: drop --epochs to train for {minutes:g} minutes, or '
            f'--minutes to train for {epochs} epochs'
        )


def make_plan(request: Request) -> Plan:
    """Plan a training, print the choices one by one, and write its config.

    Args:
        request: What the user asked for.

    Raises:
        UserError: The data or the options cannot be used, or the time is too
            short.
    """
    check_request(request)
    import_stack()
    avoid_mps()
    if request.kept.get('device'):
        use_device(request.kept['device'])
    planner = Planner(request)
    with silence_log():
        planner.choose()
    return planner.write()


class Planner:
    """The steps of a plan, and what they have found so far.

    Args:
        request: What the user asked for.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.machine: Machine = find_machine(request.gpus)
        self.choices: list[Choice] = []
        self.recipe: Recipe | None = None
        self.facts: DataFacts | None = None

    def say(self, name: str, value: object, reason: str = '') -> None:
        """Note a choice, and print it."""
        choice = Choice(name, str(value), reason)
        self.choices.append(choice)
        print(format_plan([choice]), flush=True)

    def choose(self) -> None:
        """Make all choices, in :attr:`cfg`."""
        request = self.request
        if request.config is None:
            self._choose_recipe()
        else:
            self.base = request.config
            self.cfg = load_config(request.config)
            self.say('recipe', request.config, 'as given')
        fit.drop_time_limit(self.cfg)
        if request.backbone:
            self.cfg = swap_backbone(
                self.cfg, request.backbone, pretrained=request.pretrained
            )
            self.say('backbone', request.backbone, 'as --backbone says')
        self._choose_start()
        self._choose_loading()
        self._choose_length()
        self.cfg = load_config(self.cfg, request.options)
        if request.options:
            keys = ', '.join(request.options)
            self.say('options', keys, 'as --cfg-options says')

    def _choose_recipe(self) -> None:
        request = self.request
        assert request.data is not None
        task, reason = request.task, 'as --task says'
        if task is None:
            task, reason = choose_task(request.data)
            others = '|'.join(t for t in TASKS if t != task)
            reason = f'{reason}; change it with --task {others}'
        goal = request.goal or self.machine.kind
        any_of_task = next(r for r in rules.RECIPES if r.task == task)
        facts = read_facts(
            load_config(any_of_task.config),
            request.data,
            task,
            request.classes,
        )
        if request.tiling is not None:
            facts = facts_of_tiles(facts, request.tiling.side)
        self.facts, self.goal = facts, goal
        self.say('task', task, reason)
        self.say('data', _describe_data(request.data, facts))
        recipe, reason = rules.choose_recipe(task, goal, facts)
        self.recipe, self.base = recipe, recipe.config
        self.cfg = load_config(recipe.config, dict(recipe.options))
        name = recipe.config.removeprefix('lvt_dense::')
        self.say('recipe', f'{recipe.title}, {name}', reason)

    def _choose_start(self) -> None:
        request = self.request
        asked, start = request.pretrained, request.kept.get('start')
        if self.recipe is None and asked is None and start is None:
            self.start = PlannedStart('as configured', '')
            return
        self.start = find_start(self._use_data(), asked, start)
        if not request.backbone or not request.pretrained:
            use_start(self.cfg, self.start)
        weights = self.start.weights
        names = dict(none='random weights', official='official weights')
        self.say('start', names.get(weights, weights), self.start.reason)
        if self.start.is_whole or self.recipe is None:
            return
        if self.recipe.scratch_lr is not None:
            fit.set_scratch_rate(self.cfg, *self.recipe.scratch_lr)

    def _choose_loading(self) -> None:
        kept = self.request.kept
        if self.recipe is None:
            return
        if kept.get('workers') is None:
            use_workers(self.cfg, self.machine.workers)
        if kept.get('seed') is None:
            use_seed(self.cfg, 0)

    def _use_data(self) -> Config:
        """Return a copy of the config with the data in it."""
        request = self.request
        cfg = load_config(self.cfg, request.options)
        if request.data is None:
            if request.data_root is not None:
                set_data_root(cfg, request.data_root)
            return cfg
        return use_data(
            cfg, request.data, request.classes, tiling=request.tiling
        )

    def _time(self, batch: int) -> float:
        """Time a step of the config as it is, at a batch size."""
        cfg = self._use_data()
        cfg.train_dataloader.batch_size = batch
        kept, minutes = self.request.kept, self.request.minutes
        return time_step(
            cfg,
            rules.most_timing(minutes),
            amp=kept.get('amp'),
            compile=bool(kept.get('compile')),
            workers=kept.get('workers'),
        )

    def _choose_length(self) -> None:
        """Choose size, batch, length, augmentation and validations."""
        request, machine = self.request, self.machine
        with_data = self._use_data()
        images = count_images(with_data)
        batch = self._choose_batch(images)
        size, reason = self._choose_size()
        step = self._time(batch)
        budget = None
        if request.minutes is not None:
            spent = clock.now() - request.begin
            budget = Budget.after(spent, request.minutes)
            size, reason, step = self._fit_size(
                size, reason, step, budget, batch
            )
            spent = clock.now() - request.begin
            budget = Budget.after(spent, request.minutes)
        if self.recipe is not None:
            width, height = fit.find_scale(self.cfg)
            self.say('image size', f'{width} x {height}', reason)
        total = batch * machine.gpus
        has_val = with_data.get('val_dataloader')
        validated = count_images(with_data, 'val') if has_val else 0
        val = rules.estimate_validation(step, batch, validated / machine.gpus)
        most = math.ceil(rules.MOST_EPOCHS * images / total)
        if budget is not None:
            updates, validations, reason = rules.fit_updates(
                budget, step, val, most
            )
        else:
            updates, reason = self._usual_length(images, total)
            seconds = updates * step / (1 - rules.VAL_SHARE)
            validations = rules.choose_validations(seconds, val)
        epochs = updates * total / images
        self.say('length', f'{updates} updates, {epochs:.3g} epochs', reason)
        self._choose_augment(epochs)
        self._fit_schedule(images, batch, updates, validations)
        if request.minutes is not None:
            fit.set_time_limit(self.cfg, request.minutes, val, most)
        self._say_time(step, val, updates, validations, batch)

    def _choose_batch(self, images: int) -> int:
        request = self.request
        if request.batch_size is not None:
            if request.batch_size < 1:
                raise UserError(
                    f'--batch-size {request.batch_size}: must be at least 1'
                )
            batch, reason = request.batch_size, 'as --batch-size says'
        elif self.recipe is not None:
            batch, reason = rules.choose_batch(
                self.recipe, self.machine.kind, images, self.machine.gpus
            )
        else:
            own = self.cfg.train_dataloader.batch_size
            batch = min(own, max(2, images // 8))
            reason = (
                'as configured'
                if batch == own
                else f'instead of {own}: there are only {images} images'
            )
        self.say('batch size', batch, reason)
        return batch

    def _choose_size(self) -> tuple[int, str]:
        if self.recipe is None or self.facts is None:
            return 0, 'as configured'
        size, reason = rules.choose_size(self.recipe, self.goal, self.facts)
        fit.set_size(self.cfg, size)
        return size, reason

    def _fit_size(
        self, size: int, reason: str, step: float, budget: Budget, batch: int
    ) -> tuple[int, str, float]:
        """Choose a smaller size where the time is short, and time that."""
        if self.recipe is None or self.facts is None:
            return size, reason, step
        floor = rules.needed_size(self.recipe, self.facts)
        smaller, why = rules.fit_size(self.recipe, size, step, budget, floor)
        if smaller == size:
            return size, reason, step
        fit.set_size(self.cfg, smaller)
        return smaller, why, self._time(batch)

    def _usual_length(self, images: int, total: int) -> tuple[int, str]:
        epochs = self.request.epochs
        if epochs is not None:
            if epochs < 1:
                raise UserError(f'--epochs {epochs}: must be at least 1')
            return math.ceil(epochs * images / total), 'as --epochs says'
        assert self.recipe is not None
        return rules.usual_updates(
            self.recipe, images, total, self.start.is_pretrained
        )

    def _choose_augment(self, epochs: float) -> None:
        preset, reason = self.request.augment, 'as --augment says'
        if preset is None:
            if self.recipe is None:
                return
            preset, reason = rules.choose_augment(self.recipe, epochs)
        if preset != RECIPE:
            use_augment(self.cfg, preset)
        self.say('augmentation', preset, reason)

    def _fit_schedule(
        self, images: int, batch: int, updates: int, validations: int
    ) -> None:
        cfg, gpus = self.cfg, self.machine.gpus
        lines = fit.set_length(cfg, images, batch, updates, validations, gpus)
        for line in lines:
            self.say('note', line)
        average = fit.set_average(cfg, updates)
        final = load_config(cfg, self.request.options)
        rate = final.optim_wrapper.optimizer.lr
        start = self.start
        if self.recipe is None or self.recipe.scratch_lr is None:
            origin = 'of the recipe'
        elif start.is_whole:
            origin = 'of the recipe, for a trained model'
        elif start.is_pretrained:
            origin = 'for a head with random weights'
        else:
            origin = 'for random weights'
        self.say(
            'learning rate',
            f'{rate:.3g}',
            f'{origin}, batch of {batch * gpus}; {average}',
        )

    def _say_time(
        self, step: float, val: float, updates: int, count: int, batch: int
    ) -> None:
        self.say(
            'validation',
            f'every {math.ceil(updates / count)} updates',
            f'{count} in total, about {describe_time(val)} each',
        )
        seconds = updates * step + count * val
        reason = (
            f'{self.machine.name}: measured {step:.2g} s per update of '
            f'{batch} images'
        )
        if self.request.minutes is not None:
            spent = clock.now() - self.request.begin
            seconds += spent + rules.START_UP
            reason += (
                f'; includes the {spent:.0f} s so far. The length is adjusted '
                'during training'
            )
        self.say('time', f'about {describe_time(seconds)}', reason)

    def write(self) -> Plan:
        """Write the config; return the plan."""
        name = _choose_name(self.request)
        work_dir, note = _choose_work_dir(self.request.work_dir, name)
        usual = Path('work_dirs', work_dir.name)
        if work_dir == usual:
            name = work_dir.name
        file = work_dir / f'{name}.py'
        command = format_command(
            file,
            str(self.request.data or self.request.data_root),
            self.request.kept,
            None if work_dir == usual else str(work_dir),
        )
        if self.request.data is None:
            command = command.replace(' --data ', ' --data-root ')
        comment = format_header(command, self.choices)
        write_config(self.cfg, self.base, str(file), comment)
        self.say('config', file, note)
        return Plan(file, work_dir, command, self.choices)


def _describe_data(data: str, facts: DataFacts) -> str:
    text = (
        f'{data}: {facts.train} training images of {facts.width:.0f} x '
        f'{facts.height:.0f}, {facts.val} validation images; '
        f'{facts.classes} class{"es" if facts.classes != 1 else ""}'
    )
    if not facts.objects or facts.side is None:
        return text
    return (
        f'{text}, {facts.objects} objects with a median side of '
        f'{facts.side:.0%} of that of the image'
    )


def _choose_name(request: Request) -> str:
    """Name the config and its folder after the data or the config."""
    if request.config is None:
        name = Path(request.data or '').expanduser().resolve().name
    else:
        stem = Path(request.config.split('::')[-1]).stem
        name = f'{stem}_{request.minutes:g}min'
    return re.sub(r'[^\w-]+', '_', name).strip('_') or 'data'


def _choose_work_dir(given: str | None, name: str) -> tuple[Path, str]:
    """Choose a work directory that holds no other training.

    A given one is used in any case, with a note if it holds a training.

    Returns:
        The folder, and the note or an empty text.
    """
    if given is not None:
        path = Path(given)
        note = 'replaces the checkpoints of an earlier training'
        return path, note if newest_checkpoint(path) else ''
    first = path = Path('work_dirs', name)
    number = 1
    while any(path.glob('*.pth')):
        number += 1
        path = first.with_name(f'{name}_{number}')
    note = f'{first} holds an earlier training' if number > 1 else ''
    return path, note
