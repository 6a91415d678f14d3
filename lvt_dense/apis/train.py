"""Training, for detection, segmentation and monocular 3D alike."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import LoggerHook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from lvt_dense.apis.pseudo_labels import use_unlabeled
from lvt_dense.checkpoints.read import read_content
from lvt_dense.config import default_hooks
from lvt_dense.engine.batches import fit_batches
from lvt_dense.engine.console import log_often
from lvt_dense.engine.data_checks import check_data, read_coco_once
from lvt_dense.engine.distillation.runner import (
    DistillingRunner,
    ProjectionHook,
    is_distilled,
)
from lvt_dense.engine.distillation.settings import use_teacher
from lvt_dense.engine.exact_resume import replay_from
from lvt_dense.engine.fast_step import copy_ahead, use_fast_step
from lvt_dense.engine.hooks import ValidationHook
from lvt_dense.engine.initial_weights import check_start, prepare_start
from lvt_dense.engine.runner import (
    build_runner,
    explain_errors,
    prepare_run,
)
from lvt_dense.engine.slow_operators import warn_of_slow_operators
from lvt_dense.engine.start import choose_start
from lvt_dense.engine.train_options import apply_options, fit_saving
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import ATOMIC, is_complete, newest_checkpoint

from .closing import Command, summarize


def train(
    cfg: Config,
    work_dir: str | None = None,
    resume: bool | str = False,
    launcher: str = 'none',
    pretrained: str | None = None,
    teacher: Sequence[str] | None = None,
    distill: str | None = None,
    unlabeled: str | None = None,
    start: str | None = None,
    command: Command | None = None,
    **options: Any,
) -> Runner:
    """Train the model of a config.

    Args:
        cfg: Config; adapted in place.
        work_dir: Folder of logs and checkpoints; by default
            ``work_dirs/<name of the config>``.
        resume: True continues from the newest checkpoint, a path from that.
        launcher: How the processes were started, as in MMEngine.
        pretrained: Weights of the backbone: ``official``, ``none``, a file or
            a URL; by default those that the config names.
        teacher: Config and checkpoint of a model to learn from, or a file of
            ``lvt-dense export --raw``; see :mod:`.distillation.settings`.
        distill: What is imitated; by default as the task has it.
        unlabeled: Images for the teacher to label, see :mod:`.pseudo_labels`.
        start: Whole model to start from, see :func:`.start.choose_start`.
        command: How the training was asked for, see :func:`.summarize`.
        **options: See :func:`.train_options.apply_options`.

    Returns:
        The runner, after training.

    Raises:
        UserError: Data, checkpoint, option or annotation cannot be used.
    """
    prepare_run(cfg, work_dir, launcher)
    use_teacher(cfg, teacher, distill)
    labeled = use_unlabeled(cfg, unlabeled) if unlabeled else []
    splits = [s for s in ('train', 'val') if f'{s}_cfg' in cfg]
    read_coco_once(check_data(cfg, splits))
    changes = [] if resume else _earlier_training(cfg.work_dir)
    changes += [*fit_saving(cfg), *apply_options(cfg, **options)]
    use_fast_step(cfg, _resume(cfg, resume) if resume else ())
    _complete_hooks(cfg)
    chosen = choose_start(cfg, start, pretrained, bool(resume))
    lines = prepare_start(cfg, chosen.pretrained, bool(resume))
    with explain_errors(cfg):
        runner, about = _build(cfg)
        lines = [*chosen.lines, *changes, *labeled, *about, *lines]
        check_start(runner, lines, bool(resume), chosen)
        _warn_of_slow_operators(runner)
        watch = ValidationHook()
        if command:
            runner.register_hook(watch)
        runner.train()
    if command:
        summarize(runner, watch, command)
    return runner


def _build(cfg: Config) -> tuple[Runner, list[str]]:
    """Build the runner, with the teacher that the config names.

    Returns:
        The runner, and lines for the log on teacher and batches.
    """
    if not is_distilled(cfg):
        runner = build_runner(cfg)
    elif 'runner_type' in cfg:
        raise UserError(
            f'distillation does not work with runner_type={cfg.runner_type!r}'
        )
    else:
        runner = build_runner(cfg, DistillingRunner)
        runner.register_hook(ProjectionHook())
    copy_ahead(runner.model)
    lines = [*getattr(runner, 'teacher_lines', []), *fit_batches(runner)]
    log_often(runner)
    return runner, lines


def _earlier_training(work_dir: str) -> list[str]:
    found = newest_checkpoint(work_dir)
    if found is None:
        return []
    return [
        f'WARNING: {work_dir} holds an earlier training, up to {found.name}; '
        'checkpoints of the same names are replaced'
    ]


def _warn_of_slow_operators(runner: Runner) -> None:
    model = runner.model
    device = next(model.parameters()).device.type
    model = model.module if is_model_wrapper(model) else model
    warn_of_slow_operators(model, device)


def _resume(cfg: Config, resume: bool | str) -> Sequence[dict]:
    """Continue from a checkpoint; return its optimizer's groups."""
    if resume is True:
        path = newest_checkpoint(cfg.work_dir)
        if path is None:
            raise UserError(
                f'--resume: {cfg.work_dir} holds no complete epoch_N.pth or '
                'iter_N.pth; start without --resume, or name a checkpoint'
            )
    else:
        path = Path(str(resume))
        if not path.is_file() or not is_complete(path):
            raise UserError(
                f'--resume: {path} is missing or not a complete checkpoint'
            )
    cfg.resume = True
    cfg.load_from = str(path)
    content = read_content(path)
    if not isinstance(content, dict):
        return ()
    if 'distillation' in content and not is_distilled(cfg):
        _go_on_alone(path, bool(content['distillation']))
    meta = content.get('meta')
    # What lacks these is refused, with a reason, once there is a model.
    if isinstance(meta, dict) and {'epoch', 'iter'} <= meta.keys():
        replay_from(cfg, meta)
    optimizer = content.get('optimizer') or {}
    return optimizer.get('param_groups') or ()


def _go_on_alone(path: Path, has_projections: bool) -> None:
    """Say that a training had a teacher, and has none from here on.

    Raises:
        UserError: The optimizer has parameters that only the teacher needs.
    """
    text = f'--resume: {path} is of a training with a teacher'
    if has_projections:
        raise UserError(
            f'{text}, whose projections are in the optimizer: give --teacher '
            'again, or start a new training from its weights with '
            f'--cfg-options load_from={path}'
        )
    print_log(
        f'{text}, and this one has none: give --teacher to use it again',
        'current',
        logging.WARNING,
    )


def _complete_hooks(cfg: Config) -> None:
    """Add what every training here has, also with configs of others.

    It draws images that it trains on, stops on a loss that is not finite,
    writes checkpoints whole or not at all, keeps the best one as
    ``best.pth``, and logs metrics by iteration, as the loss.
    """
    hooks = default_hooks(cfg)
    hooks.setdefault('finite_loss', dict(type='lvt_dense.FiniteLossHook'))
    hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
    saving = hooks.checkpoint or {}
    if '://' not in str(saving.get('out_dir')):
        if not saving.get('backend_args'):
            saving['backend_args'] = dict(backend=ATOMIC)
        if saving.get('save_best'):
            hooks['best'] = dict(type='lvt_dense.BestCheckpointHook')
    hooks.setdefault('logger', dict(type='LoggerHook'))
    logger = hooks.logger
    if logger and find_class(HOOKS, logger) is LoggerHook:
        logger.setdefault('log_metric_by_epoch', False)
    pictures = dict(type='lvt_dense.TrainPicturesHook')
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), pictures]
