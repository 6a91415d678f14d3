"""What a training starts from: official weights, ``load_from``, a resume."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.hooks import EMAHook
from mmengine.model import is_model_wrapper
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import Tensor, nn

from lvt_dense.checkpoints.model_files import read_model_file
from lvt_dense.checkpoints.read import read_checkpoint, read_content
from lvt_dense.datasets.metainfo import metainfo_of_checkpoint
from lvt_dense.engine.checkpoint_settings import (
    compare_settings,
    read_config_text,
)
from lvt_dense.models.backbones import PyramidBackbone
from lvt_dense.models.backbones.pretrained import LoadReport, adapt_backbones
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

from .hooks.class_rows_hook import ClassRowsHook
from .hooks.resume_hook import ResumeHook
from .hooks.start_hook import StartHook
from .official_weights import (
    Part,
    backbones_of,
    drop_replaced_weights,
    prepare_weights,
    use_pretrained,
)
from .runner import check_fit
from .start import Start, check_same_start

SHOWN = 5  # names that a message lists
# Settings that only some optimizers have, by which they can be told apart.
_TELLING = ('betas', 'momentum', 'alpha', 'rho', 'lambd', 'etas', 'lr_decay')


def prepare_start(
    cfg: Config, pretrained: str | None = None, is_resumed: bool = False
) -> list[str]:
    """Make sure of the weights of a training before anything slow begins.

    Args:
        cfg: Config; changed in place.
        pretrained: See :func:`.official_weights.use_pretrained`.
        is_resumed: Whether ``load_from`` is a training that goes on.

    Returns:
        What the training starts from, for the log.

    Raises:
        UserError: A file cannot be had, read or used.
    """
    if pretrained:
        use_pretrained(cfg, pretrained)
    if is_resumed:
        drop_replaced_weights(cfg)
        return [f'resuming from {cfg.load_from}']
    lines: list[str] = []
    filled: list[str] = []
    if cfg.get('load_from'):
        lines, filled = _prepare_load_from(cfg)
    return [*lines, *prepare_weights(cfg, filled)]


def check_start(
    runner: Runner,
    lines: Iterable[str],
    is_resumed: bool = False,
    start: Start | None = None,
) -> None:
    """Compare what a training starts from with its model.

    It is logged right before the first step, where it is seen.

    Args:
        runner: The runner, before training.
        lines: Result of :func:`prepare_start`.
        is_resumed: See above.
        start: The model of ``load_from``, to be cut to the classes.

    Raises:
        UserError: ``load_from`` or the checkpoint to go on from does not fit.
    """
    lines = list(lines)
    source = runner.cfg.get('load_from')
    start = start or Start()
    check_same_start(runner, start)
    if start.path:
        runner.register_hook(ClassRowsHook(start.adapt))
    if is_resumed:
        lines += check_resume(runner, source)
        runner.register_hook(ResumeHook())
    elif source:
        lines += check_load_from(runner, source, start)
    runner.register_hook(StartHook(lines))


# ------------------------------------------------------------------- load_from
def _prepare_load_from(cfg: Config) -> tuple[list[str], list[str]]:
    """Bring the file of ``load_from`` into the form that MMEngine reads.

    A URL is fetched into this package's cache, where two files of one name do
    not meet. A file with wrappings that MMEngine does not know, or in the
    official layout of a whole model, is rewritten into the work directory.

    Returns:
        Lines for the log, and the paths of the backbones that it fills.
    """
    found = read_model_file(cfg.load_from)
    path = found.plain_path(cfg.get('work_dir') or '.')
    cfg.load_from = str(path)
    lines = []
    if path != found.checkpoint.path:
        lines.append(f'load_from: {found}, rewritten as {path}')
    filled = [p.path for p in backbones_of(cfg) if _fills(found.state, p)]
    drop_replaced_weights(cfg, unless=lambda part: part.path not in filled)
    return [*lines, *(f'{p} is filled by load_from' for p in filled)], filled


def _fills(state: Mapping[str, Tensor], part: Part) -> bool:
    """Whether a checkpoint has every tensor of a backbone."""
    if not part.is_ours:
        return False
    prefix = part.path.removeprefix('model.')
    report = LoadReport('', '', '')
    given = {
        key.removeprefix(f'{prefix}.'): value
        for key, value in state.items()
        if key.startswith(f'{prefix}.')
    }
    report.compare(given, part.build_empty().state_dict())
    return report.is_complete


def check_load_from(
    runner: Runner, source: str, start: Start | None = None
) -> list[str]:
    """Compare the checkpoint of ``load_from`` with the model that it fills.

    Args:
        runner: The runner, before training.
        source: File of the checkpoint.
        start: How it is cut to the classes of the data; None takes it as it
            is.

    Returns:
        What it fills and what it does not, a line each, for the log.

    Raises:
        UserError: It is of another network, or holds values that are not
            finite.
    """
    model = _bare(runner.model)
    given = read_checkpoint(source).state
    is_cut = start is not None and bool(start.path)
    if start is not None and is_cut:
        given = start.adapt(given, model)
    else:
        given = adapt_backbones(model, given, PyramidBackbone)
    state = model.state_dict()
    report = LoadReport(source, type(model).__name__, 'lvt_dense')
    report.compare(given, state)
    if report.not_finite:
        raise UserError(f'load_from: {report}')
    parts = [key for key in state if _is_of_backbone(key)] or list(state)
    filled = set(report.loaded)
    if 2 * len(filled.intersection(parts)) < len(parts):
        raise UserError(
            f'load_from is a checkpoint of another network: {report}; weights '
            'of the backbone alone are for --pretrained'
        )
    lines = [
        f'load_from: {source} fills {len(filled)} of {len(state)} tensors'
    ]
    lines += [] if is_cut else _describe_classes(runner, source)
    if report.is_complete:
        return lines
    if not is_cut and any(
        isinstance(h, EMAHook) and h.strict_load for h in runner.hooks
    ):
        raise UserError(
            f'load_from fills only a part of the model, which EMAHook does '
            f'not accept with strict_load=True: {report}'
        )
    return [*lines, *_warn_of_random_weights(model, report)]


def _warn_of_random_weights(
    model: nn.Module, report: LoadReport
) -> Iterator[str]:
    rest = [*report.missing, *report.mismatched]
    yield f'WARNING: not filled by load_from, and random: {_some(rest)}'
    filled = set(report.loaded)
    frozen = [
        name
        for name, parameter in model.named_parameters()
        if not parameter.requires_grad and name not in filled
    ]
    if frozen:
        yield f'WARNING: frozen, and not filled by load_from: {_some(frozen)}'


def _describe_classes(runner: Runner, source: str) -> list[str]:
    """Say where a head as large as before stands for other classes."""
    trained = metainfo_of_checkpoint(read_content(Path(source)))
    old, new = trained.get('classes') or (), _classes_of(runner)
    if len(old) != len(new) or tuple(old) == tuple(new):
        return []
    return [
        f'WARNING: load_from was trained for the classes {shorten(old)}, and '
        f'the data have {shorten(new)}: the outputs of the head stand for '
        'other classes from here on'
    ]


def _classes_of(runner: Runner) -> tuple[str, ...]:
    dataset = runner.train_loop.dataloader.dataset
    metainfo = getattr(dataset, 'metainfo', None) or {}
    return tuple(metainfo.get('classes') or ())


def _is_of_backbone(key: str) -> bool:
    return any(
        part == 'backbone' or part == 'img_backbone'
        for part in key.split('.')[:-1]
    )


def _bare(model: nn.Module) -> nn.Module:
    inner = model.module if is_model_wrapper(model) else model
    assert isinstance(inner, nn.Module)
    return inner


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f', and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return ', '.join(names[:SHOWN]) + more


# --------------------------------------------------------------------- resume
def check_resume(runner: Runner, path: str) -> list[str]:
    """Check that a training can go on from a checkpoint of the same config.

    Args:
        runner: The runner, before training; its optimizer is built.
        path: The checkpoint.

    Returns:
        A line for the log if nothing is left to train.

    Raises:
        UserError: It is of another model or optimizer, or no checkpoint of a
            training.
    """
    content = read_content(Path(path))
    check_fit(runner.model, _weights_in(content, path), path)
    _check_progress(content, path)
    _check_classes(runner, content, path)
    compare_settings(runner.cfg, content, path)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
    expected = runner.optim_wrapper.state_dict()
    given = content['optimizer']
    if 'param_groups' not in expected or 'param_groups' not in given:
        return []  # several optimizers: MMEngine compares their names
    kind = type(runner.optim_wrapper.optimizer).__name__
    trained = _optimizer_in(content['meta'].get('cfg'))
    if trained not in (None, kind):
        raise UserError(_other_optimizer(path, trained, kind))
    _compare_groups(given['param_groups'], expected['param_groups'], path)
    loop, meta = runner.train_loop, content['meta']
    is_done = meta['iter'] >= loop.max_iters
    if isinstance(loop, EpochBasedTrainLoop):
        is_done = meta['epoch'] >= loop.max_epochs
    if not is_done:
        return []
    return [
        f'WARNING: nothing is left to train: {path} has done '
        f'{meta["epoch"]} epochs, {meta["iter"]} iterations; give more '
        '--epochs to go on'
    ]


def _weights_in(content: Any, path: str) -> dict[str, Tensor]:
    state = content.get('state_dict') if isinstance(content, dict) else None
    if not isinstance(state, Mapping):
        raise UserError(
            f'--resume: {path} is no checkpoint of a training, which has a '
            'state_dict and an optimizer'
        )
    return {k: v for k, v in state.items() if isinstance(v, Tensor)}


def _check_progress(content: Mapping[str, Any], path: str) -> None:
    meta = content.get('meta') or {}
    lacking = [
        name
        for name, is_there in (
            ('optimizer', isinstance(content.get('optimizer'), Mapping)),
            ('message_hub', 'message_hub' in content),
            ('meta.epoch', 'epoch' in meta),
            ('meta.iter', 'iter' in meta),
        )
        if not is_there
    ]
    if lacking:
        raise UserError(
            f'--resume: {path} lacks {", ".join(lacking)}, so it cannot be '
            'resumed; to start a new training from its weights, give '
            f'--cfg-options load_from={path}'
        )


def _check_classes(runner: Runner, content: Any, path: str) -> None:
    trained = metainfo_of_checkpoint(content).get('classes')
    classes = _classes_of(runner)
    if trained and classes and tuple(trained) != classes:
        raise UserError(
            f'--resume: {path} was trained for the classes '
            f'{shorten(trained, 20)}, and the data have '
            f'{shorten(classes, 20)}, in this order: resume with the data of '
            'that training, or start anew from its weights with '
            f'--cfg-options load_from={path}'
        )


def _other_optimizer(path: str, trained: str, kind: str) -> str:
    return (
        f'--resume: {path} was trained with {trained}, and the config has '
        f'{kind}; resume with the config of that training, or start anew '
        f'from its weights with --cfg-options load_from={path}'
    )


def _compare_groups(
    given: list[dict], expected: list[dict], path: str
) -> None:
    """Compare the parameter groups of two optimizers.

    Raises:
        UserError: They differ in number, size or kind.
    """
    fault = None
    if len(given) != len(expected):
        fault = f'{len(given)} parameter groups, and not {len(expected)}'
    for index, (old, new) in enumerate(zip(given, expected)):
        sizes = len(old['params']), len(new['params'])
        kinds = [[k for k in _TELLING if k in group] for group in (old, new)]
        if kinds[0] != kinds[1]:
            fault = f'settings {_some(kinds[0])}, and not {_some(kinds[1])}'
        elif sizes[0] != sizes[1] and fault is None:
            fault = (
                f'{sizes[0]} parameters in group {index}, and not {sizes[1]}'
            )
    if fault:
        raise UserError(
            f'--resume: the optimizer in {path} has {fault}: the config has '
            'another optimizer, paramwise_cfg or frozen part than that '
            'training; resume with its own config, or start anew from its '
            f'weights with --cfg-options load_from={path}'
        )


def _optimizer_in(text: object) -> str | None:
    """Find the type of the optimizer in the text of a config."""
    wrapper = read_config_text(text).get('optim_wrapper')
    optimizer = wrapper.get('optimizer') if isinstance(wrapper, dict) else None
    kind = optimizer.get('type') if isinstance(optimizer, dict) else None
    return kind if isinstance(kind, str) else None
