"""What training and testing share."""

import atexit
import errno
import functools
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch.distributed
from mmengine import device as mm_device
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lvt_dense.compat.stack import allow_own_checkpoints, import_stack
from lvt_dense.models.backbones import PyramidBackbone, families
from lvt_dense.models.backbones.plg_vit import pool_regions
from lvt_dense.models.backbones.pretrained import (
    LoadReport,
    adapt_backbones,
    identify,
)
from lvt_dense.models.layers import inner_modules
from lvt_dense.utils.dist import RANK
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import newest_checkpoint

from .console import QuietRunner
from .data_checks import annotation_fault

FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or one's share of it


def prepare_run(cfg: Config, work_dir: str | None, launcher: str) -> None:
    """Prepare this process and a config for a training or a test.

    Args:
        cfg: Config; changed in place.
        work_dir: Folder of the run, see :func:`find_work_dir`.
        launcher: See :func:`use_launcher`.

    Raises:
        UserError: The folder cannot be made, this process was not started by
            that launcher, or the config slides no window that works.
    """
    allow_own_checkpoints()
    import_stack()
    avoid_mps()
    use_launcher(cfg, launcher)
    fit_windows(cfg)
    cfg.work_dir = str(make_work_dir(cfg, work_dir))


def use_launcher(cfg: Config, launcher: str) -> None:
    """Set how the processes of a run were started.

    Without a GPU, processes of torchrun talk over gloo, as MMEngine's own
    launcher asks for CUDA, and ``sync_bn``, which torch has for GPUs alone,
    is dropped.

    Args:
        cfg: Config; adapted in place.
        launcher: ``none``, ``pytorch``, ``slurm`` or ``mpi``.

    Raises:
        UserError: This process was not started by that launcher.
    """
    cfg.launcher = launcher
    if launcher == 'none':
        return
    if RANK[launcher] not in os.environ:
        raise UserError(
            f'--launcher {launcher}: {RANK[launcher]} is not set, so this '
            'process was not started by it; use tools/dist_*.sh, '
            'tools/slurm_*.sh, or leave --launcher out'
        )
    if launcher == 'pytorch' and get_device() == 'cpu':
        join_by_gloo()
        cfg.sync_bn = None
        own = cfg.get('model_wrapper_cfg') or dict(
            type='MMDistributedDataParallel',
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )
        cfg.model_wrapper_cfg = dict(
            own, device_ids=None, broadcast_buffers=False
        )


def join_by_gloo() -> None:
    """Join the other processes of a run on the CPU, until this one ends.

    A group that is left open can abort a process as it ends, after all of its
    work is done. Processes that have joined already are left as they are.
    """
    if torch.distributed.is_initialized():
        return
    torch.distributed.init_process_group('gloo')
    atexit.register(_leave_processes)


def _leave_processes() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def build_runner(cfg: Config, kind: type[Runner] = QuietRunner) -> Runner:
    """Build the runner that a config asks for.

    Its segmenters take batches of images of different sizes in validation
    and testing.

    Args:
        cfg: Config.
        kind: Class of the runner, unless the config names one.

    Raises:
        UserError: ``sync_bn`` took activations away.
    """
    custom = 'runner_type' in cfg
    runner = RUNNERS.build(cfg) if custom else kind.from_cfg(cfg)
    check_sync_norms(_unwrap(runner.model))
    _predict_by_size(_unwrap(runner.model))
    if torch.are_deterministic_algorithms_enabled():
        pool_deterministically(runner.model)
    return runner


def check_sync_norms(model: nn.Module) -> None:
    """Make sure that ``sync_bn`` has replaced no norm with an activation.

    PyTorch's synchronized norm keeps the modules inside of the one that it
    replaces, but does not call them.

    Raises:
        UserError: It has.
    """
    for name, module in model.named_modules():
        if type(module) is nn.SyncBatchNorm and inner_modules(module):
            raise UserError(
                'sync_bn takes away the activation inside of the batch norm '
                f'{name}: set sync_bn=None, or use the network as '
                'lvt_dense.Timm, which keeps it'
            )


class _RegionPool(nn.AdaptiveAvgPool2d):
    """Adaptive average pooling whose gradient is the same at every run."""

    def forward(self, x: Tensor) -> Tensor:
        return pool_regions(x, int(self.output_size), 'mean')  # type: ignore


def pool_deterministically(model: nn.Module) -> None:
    """Replace adaptive pooling, as PSPNet's, by a form with equal gradients.

    PyTorch's own raises in deterministic mode on a GPU.

    Args:
        model: Model; changed in place.
    """
    for module in model.modules():
        if type(module) is nn.AdaptiveAvgPool2d and isinstance(
            module.output_size, int
        ):
            module.__class__ = _RegionPool


def avoid_mps() -> None:
    """Run on the CPU of a Mac, unless its GPU is asked for.

    MMEngine would take the GPU, which has neither ``float64`` nor all of the
    operators here.
    """
    if mm_device.utils.DEVICE == 'mps':
        mm_device.utils.DEVICE = 'cpu'


def fit_windows(cfg: Config) -> None:
    """Check how a segmenter slides a window over its test images.

    A single number for a side stands for a square.

    Args:
        cfg: Config; changed in place.

    Raises:
        UserError: A size or a step is missing, or is none.
    """
    test_cfg = (cfg.get('model') or {}).get('test_cfg') or {}
    if test_cfg.get('mode') != 'slide':
        return
    for key, what in (
        ('crop_size', 'height and width of the window'),
        ('stride', 'steps from window to window'),
    ):
        value = test_cfg.get(key)
        if isinstance(value, int):
            value = test_cfg[key] = (value, value)
        pair = list(value) if isinstance(value, (list, tuple)) else []
        if len(pair) != 2 or not all(type(v) is int and v > 0 for v in pair):
            raise UserError(
                f'model.test_cfg.{key} is {value}: with mode="slide" give '
                f'the {what} in pixels, such as (512, 512)'
            )


def find_work_dir(cfg: Config, work_dir: str | None) -> Path:
    """Choose the given folder, else the config's, else one named after it."""
    default = Path('work_dirs', Path(cfg.filename or 'config').stem)
    return Path(work_dir or cfg.get('work_dir') or default)


def make_work_dir(cfg: Config, work_dir: str | None) -> Path:
    """Make the folder that :func:`find_work_dir` chooses.

    Raises:
        UserError: It cannot be made.
    """
    path = find_work_dir(cfg, work_dir)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f'the work directory {path} cannot be made: {error.strerror}; '
            'name another one with --work-dir'
        ) from None
    return path


def _unwrap(model: Any) -> Any:
    while is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    return model


def _predict_by_size(model: nn.Module) -> None:
    """Let a segmenter predict on images of different sizes one by one.

    MMSegmentation stacks the images of a test batch without padding, which
    would change what is predicted near the padding.
    """
    try:
        from mmseg.models import SegDataPreProcessor
    except ImportError:
        return
    if not isinstance(model.data_preprocessor, SegDataPreProcessor):
        return
    for name in ('val_step', 'test_step'):
        step = getattr(model, name)
        setattr(model, name, functools.partial(_step_by_size, step))


def _step_by_size(step: Callable[[Any], list], data: Any) -> list:
    images = data.get('inputs') if isinstance(data, dict) else None
    if not isinstance(images, (list, tuple)):
        return step(data)
    groups: dict[tuple, list[int]] = {}
    for index, image in enumerate(images):
        groups.setdefault(tuple(image.shape), []).append(index)
    if len(groups) == 1:
        return step(data)
    samples: dict[int, Any] = {}
    for indices in groups.values():
        part = {key: [data[key][i] for i in indices] for key in data}
        samples.update(zip(indices, step(part)))
    return [samples[index] for index in range(len(images))]


@contextmanager
def explain_errors(cfg: Config) -> Iterator[None]:
    """Replace an error by its cause where the error itself does not tell.

    Raises:
        UserError: Names a broken annotation file and what is wrong in it, the
            layer that a batch is too small for, the full disk, or the
            process that loaded data and was killed.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as first:
        error = _wait_for_worker(first)
        cause = (
            _small_batch(error)
            or _full_disk(error, cfg)
            or _killed_worker(error, cfg)
            or _no_image(error)
            or annotation_fault(cfg)
        )
        if cause:
            raise UserError(cause) from first
        raise


def _small_batch(error: Exception) -> str | None:
    """Name the batch norm that saw a single value a channel, if one did."""
    model: nn.Module | None = None
    layer = values = None
    trace = error.__traceback__
    while trace is not None:
        found = trace.tb_frame.f_locals
        owner = found.get('self')
        if isinstance(owner, nn.Module):
            model = model or owner
        if isinstance(owner, _BatchNorm):
            layer, values = owner, found.get('input', values)
        trace = trace.tb_next
    if model is None or values is None or values.numel() != values.shape[1]:
        return None
    names = [name for name, each in model.named_modules() if each is layer]
    return (
        f'the batch norm {names[0]} sees one pixel of one image, and has '
        'nothing to take a mean of: set train_dataloader.batch_size to 2 or '
        'more, and train_dataloader.drop_last=True so that no last batch is '
        'smaller'
    )


def _full_disk(error: Exception, cfg: Config) -> str | None:
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    path = error.filename or cfg.get('work_dir')
    return (
        f'{path} cannot be written: {os.strerror(error.errno)}{_kept(cfg)}. '
        'Free some space, then go on with --resume'
    )


def _kept(cfg: Config) -> str:
    newest = newest_checkpoint(cfg.get('work_dir') or '.')
    return f'; {newest} is whole' if newest else ''


def _wait_for_worker(error: Exception) -> Exception:
    """Return what PyTorch says of a killed worker, if it says it now.

    A lost connection can be noticed before the system reports the end of the
    process, upon which PyTorch raises wherever the program is.
    """
    if isinstance(error, (ConnectionError, EOFError)):
        try:
            time.sleep(1)
        except RuntimeError as report:
            return report
    return error


def _killed_worker(error: Exception, cfg: Config) -> str | None:
    # torch.utils.data raises nothing more special.
    match = re.match(r'DataLoader worker \(pid\S* ([\d, ]+)\) ', str(error))
    if not isinstance(error, RuntimeError) or match is None:
        return None
    return (
        f'process {match[1]}, which loaded data, was ended from outside, as '
        f'when memory runs out{_kept(cfg)}. Use fewer --workers or smaller '
        'batches, then go on with --resume'
    )


def _no_image(error: Exception) -> str | None:
    if 'Cannot find valid image' in str(error):
        return (
            'no training image could be used in 1,000 draws: each could not '
            'be read, or lost all its objects in the pipeline; look at the '
            'warnings above, and at the crops and filters of '
            'train_dataloader.dataset.pipeline'
        )
    if 'need at least one array to concatenate' in str(error):
        return (
            'a data set holds no image that is left after filtering: look '
            'at ann_file, metainfo.classes and filter_cfg of the data sets, '
            'or let --data DIR set them'
        )
    return None


def check_fit(model: nn.Module, state: dict, source: str) -> None:
    """Check that a checkpoint fills every tensor of a model.

    Raises:
        UserError: It does not; the report says what is wrong.
    """
    model = _unwrap(model)
    report = LoadReport(str(source), type(model).__name__, 'lvt_dense')
    state = adapt_backbones(model, state, PyramidBackbone)
    report.compare(state, model.state_dict())
    if report.is_complete:
        return
    found = identify(state, families().values())
    hint = ''
    if found:
        hint = (
            f' (it is an official file of {found[0].__name__}: convert it '
            'with tools/convert_checkpoint.py)'
        )
    raise UserError(f'checkpoint does not fit the config{hint}: {report}')
