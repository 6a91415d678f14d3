"""What training and testing share."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch.distributed
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.model import BaseTTAModel, is_model_wrapper
from mmengine.registry import RUNNERS
from mmengine.runner import Runner
from torch import nn

from lvt_dense.errors import UserError
from lvt_dense.models.backbones import families
from lvt_dense.models.backbones.pretrained import LoadReport, identify

from .checks import annotation_fault

BATCH_OF_ONE = (
    'batch norm after a pooling of the whole image, as in DeepLabv3 and '
    'PSPNet, cannot train on a batch of one image: set '
    'train_dataloader.batch_size to 2 or more, and '
    'train_dataloader.drop_last=True so that no last batch is smaller'
)

# What each launcher tells a process it starts.
_RANKS = dict(pytorch='RANK', slurm='SLURM_PROCID', mpi='OMPI_COMM_WORLD_RANK')


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
    if _RANKS[launcher] not in os.environ:
        raise UserError(
            f'--launcher {launcher}: {_RANKS[launcher]} is not set, so this '
            'process was not started by it; use tools/dist_*.sh, '
            'tools/slurm_*.sh, or leave --launcher out'
        )
    if launcher == 'pytorch' and get_device() == 'cpu':
        torch.distributed.init_process_group('gloo')
        cfg.sync_bn = None
        cfg.model_wrapper_cfg = dict(
            type='MMDistributedDataParallel',
            device_ids=None,
            broadcast_buffers=False,
            find_unused_parameters=cfg.get('find_unused_parameters', False),
        )


def build_runner(cfg: Config) -> Runner:
    """The runner that a config asks for."""
    if 'runner_type' in cfg:
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def work_dir_of(cfg: Config, work_dir: str | None) -> Path:
    """The given folder, else the config's own, else one named after it."""
    default = Path('work_dirs', Path(cfg.filename or 'config').stem)
    return Path(work_dir or cfg.get('work_dir') or default)


@contextmanager
def explained(cfg: Config) -> Iterator[None]:
    """Replace an error by its cause: a broken annotation file, a lone image.

    Raises:
        UserError: Names the file and what is wrong in it, or the setting.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if 'Expected more than 1 value per channel' in str(error):
            raise UserError(BATCH_OF_ONE) from error
        fault = annotation_fault(cfg)
        if fault:
            raise UserError(fault) from error
        raise


def check_fit(model: nn.Module, state: dict, source: str) -> None:
    """Check that a checkpoint fills every tensor of a model.

    Raises:
        UserError: It does not; the report says what is wrong.
    """
    if is_model_wrapper(model) or isinstance(model, BaseTTAModel):
        model = model.module
    report = LoadReport(str(source), type(model).__name__, 'lvt_dense')
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
