"""What an exported file says of itself.

One JSON object under the key ``lvt_dense`` of the file's metadata, which
:mod:`lvt_dense.runtime` reads. Its keys:

- ``task``: ``detection``, ``instance``, ``semantic`` or ``mono3d``; ``raw``
  of a file that gives its heads' maps, whose task is ``maps_of``.
- ``classes`` and ``palette``: names, and RGB colors.
- ``color``: channel order of the input, ``rgb`` or ``bgr``.
- ``channels``: number of channels of the input.
- ``size``: height and width of the input, or null where any will do.
- ``resize``: ``stretch``, ``fit`` (keep the ratio, pad to the right and
  below) or ``none``; ``scale``: the longer and the shorter side that ``fit``
  keeps an image within.
- ``divisor``: what height and width of the input have to be a multiple of.
- ``score_thr``: lowest score worth drawing.
- ``config``, ``config_hash``, ``checkpoint``, ``versions``; of an ONNX graph
  ``opset``, and ``batch``: the number of images, null where any will do.
"""

import hashlib
import importlib.metadata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from lvt_dense.deploy.inputs import channels_of
from lvt_dense.utils.errors import UserError

KEY = 'lvt_dense'
DRAWN_SCORE = 0.3


def describe_model(
    cfg: Config,
    checkpoint: str,
    task: str,
    meta: dict[str, Any],
    color: str,
    size: Sequence[int] | None,
    packages: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the metadata of an exported model.

    Args:
        cfg: Config of the model.
        checkpoint: File of its weights.
        task: What it does.
        meta: ``classes`` and ``palette`` of the data it was trained on.
        color: Channel order of the input.
        size: Height and width of the input, None for any.
        packages: Packages that wrote the file, whose versions are noted.
    """
    import lvt_dense

    versions = {'lvt_dense': lvt_dense.__version__}
    for name in ('torch', *packages):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    text = cfg.pretty_text if hasattr(cfg, 'pretty_text') else str(cfg)
    return dict(
        task=task,
        classes=list(meta.get('classes') or ()),
        palette=[list(map(int, c)) for c in meta.get('palette') or ()],
        color=color,
        channels=channels_of(cfg),
        size=None if size is None else [int(s) for s in size],
        **test_resize(cfg),
        score_thr=DRAWN_SCORE,
        config=Path(cfg.filename or 'config').name,
        config_hash=hashlib.sha256(text.encode()).hexdigest()[:16],
        checkpoint=Path(checkpoint).name,
        versions=versions,
        torch=torch.__version__,
    )


def test_resize(cfg: Config) -> dict[str, Any]:
    """Return how the test pipeline of a config resizes images.

    Returns:
        ``resize``, ``scale`` as (longer, shorter side) for ``fit`` or
        (width, height) for ``stretch``, and ``divisor``.

    Raises:
        UserError: The config has no test pipeline.
    """
    from lvt_dense.config import dataset_cfgs

    dataset = next(iter(dataset_cfgs(cfg, 'test')), None)
    if dataset is None:
        raise UserError(
            f'config {cfg.filename} has no test data set, and only its '
            'pipeline says how images are resized'
        )
    divisor = 1
    preprocessor = cfg.model.get('data_preprocessor') or {}
    if preprocessor.get('pad_size_divisor'):
        divisor = int(preprocessor['pad_size_divisor'])
    for step in dataset.pipeline:
        scale = step.get('scale')
        if scale is None or 'keep_ratio' not in step and 'size' in step:
            continue
        fit = bool(step.get('keep_ratio'))
        return dict(
            resize='fit' if fit else 'stretch',
            scale=[int(s) for s in scale],
            divisor=divisor,
        )
    return dict(resize='none', scale=None, divisor=divisor)
