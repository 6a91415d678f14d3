"""Plan a training: look, measure, choose, write."""

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
from .facts import DataFacts, choose_task, cut_facts, read_facts
from .machine import Machine, find_machine, quiet, time_step
from .recipes import TASKS, Recipe
from .start import Start, find_start, use_start
from .text import command_of, describe_time, format_plan, header_of


@dataclass
class Request:
    """What a plan is asked for; None leaves a choice to it.

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
        options: Values of the config, by dotted key; they win.
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
    """What a plan has come to.

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


def check_request(asked: Request) -> None:
    """Refuse options that contradict each other.

    Raises:
        UserError: Some do.
    """
    if asked.config is None and asked.data is None:
        raise UserError(
            'give a config, or --data DIR, for which one is chosen'
        )
    if asked.config is not None:
        for name, value in (('task', asked.task), ('for', asked.goal)):
            if value is not None:
                raise UserError(
                    f'--{name} {value} chooses a recipe, and {asked.config} '
                    'is one already: drop either'
                )
    minutes, epochs = asked.minutes, asked.epochs
    if minutes is not None and minutes <= 0:
        raise UserError(f'--minutes {minutes:g}: must be above 0')
    if minutes is not None and epochs is not None:
        raise UserError(
            f'--minutes {minutes:g} and --epochs {epochs} both set the '
            f'length: drop --epochs to train for {minutes:g} minutes, or '
            f'--minutes to train for {epochs} epochs'
        )


def make_plan(asked: Request) -> Plan:
    """Plan a training, print the choices one by one, and write its config.

    Args:
        asked: What is asked for.

    Raises:
        UserError: The data or the options cannot be used, or the time is too
            short.
    """
    check_request(asked)
    import_stack()
    avoid_mps()
    if asked.kept.get('device'):
        use_device(asked.kept['device'])
    planner = Planner(asked)
    with quiet():
        planner.choose()
    return planner.write()


class Planner:
    """The steps of a plan, and what they have found so far.

    Args:
        asked: What is asked for.
    """

    def __init__(self, asked: Request) -> None:
        self.asked = asked
        self.machine: Machine = find_machine(asked.gpus)
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
        asked = self.asked
        if asked.config is None:
            self._choose_recipe()
        else:
            self.base = asked.config
            self.cfg = load_config(asked.config)
            self.say('recipe', asked.config, 'as given')
        fit.drop_time_limit(self.cfg)
        if asked.backbone:
            self.cfg = swap_backbone(
                self.cfg, asked.backbone, pretrained=asked.pretrained
            )
            self.say('backbone', asked.backbone, 'as --backbone says')
        self._choose_start()
        self._choose_loading()
        self._choose_length()
        self.cfg = load_config(self.cfg, asked.options)
        if asked.options:
            keys = ', '.join(asked.options)
            self.say('options', keys, 'as --cfg-options says')

    def _choose_recipe(self) -> None:
        asked = self.asked
        assert asked.data is not None
        task, reason = asked.task, 'as --task says'
        if task is None:
            task, reason = choose_task(asked.data)
            others = '|'.join(t for t in TASKS if t != task)
            reason = f'{reason}; --task {others} overrules'
        goal = asked.goal or self.machine.kind
        any_of_task = next(r for r in rules.RECIPES if r.task == task)
        facts = read_facts(
            load_config(any_of_task.config), asked.data, task, asked.classes
        )
        if asked.tiling is not None:
            facts = cut_facts(facts, asked.tiling.side)
        self.facts, self.goal = facts, goal
        self.say('task', task, reason)
        self.say('data', _describe_data(asked.data, facts))
        recipe, reason = rules.choose_recipe(task, goal, facts)
        self.recipe, self.base = recipe, recipe.config
        self.cfg = load_config(recipe.config, dict(recipe.options))
        name = recipe.config.removeprefix('lvt_dense::')
        self.say('recipe', f'{recipe.title}, {name}', reason)

    def _choose_start(self) -> None:
        asked = self.asked
        if self.recipe is None and asked.pretrained is None:
            self.start = Start('as configured', '')
            return
        self.start = find_start(self.cfg, asked.pretrained)
        if not asked.backbone or not asked.pretrained:
            use_start(self.cfg, self.start)
        weights = self.start.weights
        names = dict(none='random weights', official='official weights')
        self.say('start', names.get(weights, weights), self.start.reason)
        if self.start.is_pretrained or self.recipe is None:
            return
        if self.recipe.scratch_lr is not None:
            fit.set_scratch_rate(self.cfg, *self.recipe.scratch_lr)

    def _choose_loading(self) -> None:
        kept = self.asked.kept
        if self.recipe is None:
            return
        if kept.get('workers') is None:
            use_workers(self.cfg, self.machine.workers)
        if kept.get('seed') is None:
            use_seed(self.cfg, 0)

    def _use_data(self) -> Config:
        """Return a copy of the config with the data in it."""
        asked = self.asked
        cfg = load_config(self.cfg, asked.options)
        if asked.data is None:
            if asked.data_root is not None:
                set_data_root(cfg, asked.data_root)
            return cfg
        return use_data(cfg, asked.data, asked.classes, tiling=asked.tiling)

    def _time(self, batch: int) -> float:
        """Time a step of the config as it is, at a batch size."""
        cfg = self._use_data()
        cfg.train_dataloader.batch_size = batch
        kept = self.asked.kept
        return time_step(
            cfg,
            amp=kept.get('amp'),
            compile=bool(kept.get('compile')),
            workers=kept.get('workers'),
        )

    def _choose_length(self) -> None:
        """Choose size, batch, length, augmentation and validations."""
        asked, machine = self.asked, self.machine
        with_data = self._use_data()
        images = count_images(with_data)
        batch = self._choose_batch(images)
        size, reason = self._choose_size()
        step = self._time(batch)
        budget = None
        if asked.minutes is not None:
            spent = clock.now() - asked.begin
            budget = Budget.after(spent, asked.minutes)
            size, reason, step = self._fit_size(
                size, reason, step, budget, batch
            )
            spent = clock.now() - asked.begin
            budget = Budget.after(spent, asked.minutes)
        if self.recipe is not None:
            width, height = fit.find_scale(self.cfg)
            self.say('image size', f'{width} x {height}', reason)
        total = batch * machine.gpus
        val = rules.estimate_validation(
            step, batch, _count_val(with_data) / machine.gpus
        )
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
        if asked.minutes is not None:
            fit.set_time_limit(self.cfg, asked.minutes, val, most)
        self._say_time(step, val, updates, validations, batch)

    def _choose_batch(self, images: int) -> int:
        asked = self.asked
        if asked.batch_size is not None:
            if asked.batch_size < 1:
                raise UserError(
                    f'--batch-size {asked.batch_size}: must be at least 1'
                )
            batch, reason = asked.batch_size, 'as --batch-size says'
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
                else f'in place of {own}: there are {images} images'
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
        epochs = self.asked.epochs
        if epochs is not None:
            if epochs < 1:
                raise UserError(f'--epochs {epochs}: must be at least 1')
            return math.ceil(epochs * images / total), 'as --epochs says'
        assert self.recipe is not None
        return rules.usual_updates(
            self.recipe, images, total, self.start.is_pretrained
        )

    def _choose_augment(self, epochs: float) -> None:
        preset, reason = self.asked.augment, 'as --augment says'
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
        final = load_config(cfg, self.asked.options)
        rate = final.optim_wrapper.optimizer.lr
        start = 'random weights' if not self.start.is_pretrained else 'recipe'
        self.say(
            'learning rate',
            f'{rate:.3g}',
            f'{start}, batch of {batch * gpus}; {average}',
        )

    def _say_time(
        self, step: float, val: float, updates: int, count: int, batch: int
    ) -> None:
        self.say(
            'validation',
            f'every {math.ceil(updates / count)} updates',
            f'{count} in all, about {describe_time(val)} each',
        )
        seconds = updates * step + count * val
        reason = (
            f'{self.machine.name}: {step:.2g} s an update of {batch} images, '
            'timed'
        )
        if self.asked.minutes is not None:
            spent = clock.now() - self.asked.begin
            seconds += spent + rules.START_UP
            reason += (
                f'; with the {spent:.0f} s until now. The length is corrected '
                'while it trains'
            )
        self.say('time', f'about {describe_time(seconds)}', reason)

    def write(self) -> Plan:
        """Write the config; return the plan."""
        name = _name_of(self.asked)
        work_dir, note = _choose_work_dir(self.asked.work_dir, name)
        usual = Path('work_dirs', work_dir.name)
        if work_dir == usual:
            name = work_dir.name
        file = work_dir / f'{name}.py'
        command = command_of(
            file,
            str(self.asked.data or self.asked.data_root),
            self.asked.kept,
            None if work_dir == usual else str(work_dir),
        )
        if self.asked.data is None:
            command = command.replace(' --data ', ' --data-root ')
        comment = header_of(command, self.choices)
        write_config(self.cfg, self.base, str(file), comment)
        self.say('config', file, note)
        return Plan(file, work_dir, command, self.choices)


def _describe_data(data: str, facts: DataFacts) -> str:
    text = (
        f'{data}: {facts.train} images of {facts.width:.0f} x '
        f'{facts.height:.0f} to learn from, {facts.val} held out; '
        f'{facts.classes} class{"es" if facts.classes != 1 else ""}'
    )
    if not facts.objects or facts.side is None:
        return text
    return (
        f'{text}, {facts.objects} objects with a side of {facts.side:.0%} of '
        'the image (median)'
    )


def _count_val(cfg: Config) -> int:
    """Count the images of the validation."""
    if not cfg.get('val_dataloader'):
        return 0
    copy = Config(dict(cfg.to_dict(), train_dataloader=cfg.val_dataloader))
    return count_images(copy)


def _name_of(asked: Request) -> str:
    """Name the config and its folder after the data or the config."""
    if asked.config is None:
        name = Path(asked.data or '').expanduser().resolve().name
    else:
        stem = Path(asked.config.split('::')[-1]).stem
        name = f'{stem}_{asked.minutes:g}min'
    return re.sub(r'[^\w-]+', '_', name).strip('_') or 'data'


def _choose_work_dir(given: str | None, name: str) -> tuple[Path, str]:
    """Choose a folder that holds no other training.

    A folder that was asked for is taken, and it is said what it holds.
    """
    if given is not None:
        path = Path(given)
        note = 'its checkpoints replace those of the earlier training there'
        return path, note if newest_checkpoint(path) else ''
    first = path = Path('work_dirs', name)
    number = 1
    while any(path.glob('*.pth')):
        number += 1
        path = first.with_name(f'{name}_{number}')
    note = f'{first} holds an earlier training' if number > 1 else ''
    return path, note
