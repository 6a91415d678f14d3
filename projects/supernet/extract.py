"""Sub-networks as plain models: config and checkpoint."""

import copy
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import HOOKS
from torch import Tensor

from lvt_dense.checkpoints.read import read_content
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.files import write_atomically

from .calibration import calibrate, draw_batches
from .classification import ImageClassifier
from .conflict_meter import ConflictMeter
from .evaluate import load_supernet
from .model import Supernet
from .slicing import BACKBONE
from .space import Arch

CONFIG = 'model.py'
CHECKPOINT = 'model.pth'
BACKBONE_FILE = 'backbone.pth'
SUPERNET = 'supernet.catalog'  # which a plain model does not need


def extract(
    cfg: Config,
    checkpoint: str,
    name: str | Mapping[str, Any],
    out: str | Path,
    num_batches: int,
) -> Arch:
    """Write a sub-network as a model that stands alone.

    Args:
        cfg: Config of the supernet.
        checkpoint: File written by its training.
        name: What :meth:`~.space.SearchSpace.find` takes.
        out: Folder for ``model.py``, ``model.pth`` and ``backbone.pth``.
        num_batches: Training batches for the batch statistics.

    Returns:
        The sub-network.
    """
    supernet = load_supernet(cfg, checkpoint)
    arch = supernet.space.find(name)
    model = calibrate(supernet.extract(arch), draw_batches(cfg, num_batches))
    folder = Path(out)
    plain = plain_config(cfg, supernet, arch)
    given = read_content(Path(checkpoint)).get('meta') or {}
    meta = dict(dataset_meta=given.get('dataset_meta'), arch=arch)
    state = model.state_dict()
    _save(folder / CHECKPOINT, state, meta)
    backbone = {
        key.removeprefix(BACKBONE): value
        for key, value in state.items()
        if key.startswith(BACKBONE)
    }
    _save(folder / BACKBONE_FILE, backbone, dict(arch=arch))
    write_atomically(folder / CONFIG, plain.pretty_text)
    return arch


def plain_config(cfg: Config, supernet: Supernet, arch: Arch) -> Config:
    """Make the config of a sub-network's model.

    Data, metrics, schedule and optimizer are those of the supernet.

    Args:
        cfg: Config of the supernet.
        supernet: The supernet.
        arch: The sub-network.
    """
    plain = copy.deepcopy(cfg.to_dict())
    plain['model'] = supernet.builder.model_cfg(arch)
    plain.pop('module', None)
    wrapper = plain['optim_wrapper']
    plain['optim_wrapper'] = dict(
        type='OptimWrapper',
        **{
            key: wrapper[key]
            for key in ('optimizer', 'constructor', 'paramwise_cfg')
            if key in wrapper
        },
    )
    plain['val_cfg'] = dict(type='ValLoop')
    plain['test_cfg'] = dict(type='TestLoop')
    plain.pop('model_wrapper_cfg', None)
    plain['custom_hooks'] = [
        hook
        for hook in plain.get('custom_hooks') or []
        if not issubclass(find_class(HOOKS, hook), ConflictMeter)
    ]
    saving = plain.get('default_hooks', {}).get('checkpoint') or {}
    if isinstance(saving.get('save_best'), str):
        saving['save_best'] = saving['save_best'].split('/', 1)[-1]
    if not isinstance(supernet.network, ImageClassifier):
        _drop_import(plain)
    plain['load_from'] = None
    plain['resume'] = False
    return Config(plain)


def _save(
    path: Path, state: Mapping[str, Tensor], meta: dict[str, Any]
) -> None:
    content = io.BytesIO()
    torch.save(dict(meta=meta, state_dict=dict(state)), content)
    write_atomically(path, content.getvalue())


def _drop_import(plain: dict[str, Any]) -> None:
    custom = plain.get('custom_imports') or {}
    kept = [name for name in custom.get('imports', []) if name != SUPERNET]
    plain.pop('custom_imports', None)
    if kept:
        plain['custom_imports'] = dict(custom, imports=kept)
