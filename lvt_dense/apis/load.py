"""Load a model for prediction: exported, published, or with its config."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lvt_dense.runtime import InputError, Predictor
from lvt_dense.runtime.sessions import OPENERS
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import suggest_or_list

if TYPE_CHECKING:
    from mmengine.config import Config

METRICS = 'metrics.json'
CONFIGS = ('.py', '.yaml', '.yml', '.json')


def load(
    model: str | Path,
    checkpoint: str | Path | None = None,
    device: str | None = None,
    threads: int = 0,
    cfg_options: Mapping[str, Any] | None = None,
) -> Predictor:
    """Load a model to predict with.

    Args:
        model: A file that ``lvt-dense export`` wrote; a config, with its
            checkpoint; the work directory of a training; or the name of a
            published model, see ``lvt-dense weights list``, whose weights are
            downloaded if need be.
        checkpoint: Weights of the config's model.
        device: Where PyTorch computes; by default a GPU if there is one.
        threads: Threads of an exported model's runtime; 0 leaves the choice
            to it.
        cfg_options: Values of the config to replace, by dotted key.

    Returns:
        The same kind of object for all, with ``predict``, ``predict_batch``
        and ``draw``.

    Raises:
        UserError: It does not exist, or cannot be used.

    Example:
        >>> model = lvt_dense.load('ssdlite_mobilevit_320_coco')
        >>> for found in model.predict('street.jpg'):
        ...     print(found.label, found.score, found.box)
    """
    name = str(model)
    if Path(name).suffix in OPENERS:
        _refuse(name, checkpoint=checkpoint, cfg_options=cfg_options)
        try:
            return Predictor(model, threads)
        except InputError as error:
            raise UserError(str(error)) from error
    if Path(name).is_dir() and checkpoint is None:
        from lvt_dense.config import find_run

        name, checkpoint = find_run(name)
    if '::' in name or Path(name).suffix in CONFIGS:
        if checkpoint is None:
            raise UserError(
                f'{name} is a config: give the checkpoint of its model, too'
            )
        return _load_config(name, str(checkpoint), device, cfg_options)
    return _load_published(name, checkpoint, device, cfg_options)


def _refuse(name: str, **given: Any) -> None:
    for key, value in given.items():
        if value is not None:
            raise UserError(
                f'{name} is an exported model, which takes no {key}'
            )


def _load_config(
    config: str,
    checkpoint: str,
    device: str | None,
    cfg_options: Mapping[str, Any] | None,
    input_norm: Mapping[str, Any] | None = None,
) -> Predictor:
    from lvt_dense.config import load_config
    from lvt_dense.deploy.inputs import preprocessor_of
    from lvt_dense.engine.bands import fit_bands

    cfg = load_config(config, dict(cfg_options or {}))
    if input_norm is not None:
        preprocessor_of(cfg).update(input_norm)
    fit_bands(cfg)
    return predictor_of(cfg, checkpoint, device)


def predictor_of(
    cfg: 'Config', checkpoint: str, device: str | None = None
) -> Predictor:
    """Return what predicts with the model of a config.

    Args:
        cfg: Config of a detector or segmenter.
        checkpoint: Its weights, or a file exported of it.
        device: Where PyTorch computes; by default a GPU if there is one.

    Raises:
        UserError: The checkpoint cannot be used.
    """
    if Path(checkpoint).suffix in OPENERS:
        return load(checkpoint)
    import torch
    from mmengine.registry import init_default_scope

    from lvt_dense.compat.stack import import_stack
    from lvt_dense.deploy.pytorch_session import open_pytorch
    from lvt_dense.engine.model_loading import load_model

    from .export import task_of_model

    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    device = device or ('cuda' if torch.cuda.is_available() else 'cpu')
    model = load_model(cfg, checkpoint, device)
    session = open_pytorch(
        model, cfg, checkpoint, task_of_model(model), device
    )
    best = recorded_score(checkpoint, [Path(checkpoint).parent])
    if best is not None:
        session.info['score_thr'] = best
    return Predictor(session)


def _load_published(
    name: str,
    checkpoint: str | Path | None,
    device: str | None,
    cfg_options: Mapping[str, Any] | None,
) -> Predictor:
    from lvt_dense.checkpoints.cache import fetch
    from lvt_dense.checkpoints.published import WHOLE_MODELS

    known = {file.name: file for file in WHOLE_MODELS}
    if name not in known:
        endings = ', '.join([*OPENERS, *CONFIGS])
        raise UserError(
            f'{name} is no exported model or config ({endings}), and no '
            f'published model; {suggest_or_list(name, known)}'
        )
    file = known[name]
    path = fetch(file) if checkpoint is None else checkpoint
    config = f'lvt_dense::{name.split(".")[0]}.py'
    return _load_config(
        config, str(path), device, cfg_options, file.input_norm
    )


def recorded_score(checkpoint: str, folders: Sequence[Path]) -> float | None:
    """Read the score threshold of the best F1 that a report has found.

    Args:
        checkpoint: File of the weights.
        folders: Where the report's ``metrics.json`` may be.

    Returns:
        The threshold, in [0, 1]; None if no report of the checkpoint is
        there.
    """
    for folder in folders:
        path = folder / METRICS
        if not path.is_file():
            continue
        found = json.loads(path.read_text('utf-8')).get('report') or {}
        if (
            found.get('checkpoint') == Path(checkpoint).name
            and 'score_thr' in found
        ):
            return float(found['score_thr'])
    return None
