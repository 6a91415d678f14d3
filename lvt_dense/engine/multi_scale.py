"""Train a recipe on batches of varying image size.

The sizes are those of
:class:`~lvt_dense.datasets.samplers.VariableBatchSampler`; the learning rate
stays, as in the authors' code.
"""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config
from mmengine.registry import TASK_UTILS, TRANSFORMS

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.samplers import DIVISOR, list_scales
from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError

# The paper's: five sizes from a half to one and a half of the recipe's.
SIZE_RANGE = (0.5, 1.5)
NUM_SCALES = 5
_SIZED = 'lvt_dense.DrawnSize'


def use_multi_scale(
    cfg: Config,
    size_range: Sequence[float] = SIZE_RANGE,
    num_scales: int = NUM_SCALES,
) -> list[str]:
    """Let the batches of a recipe vary in size.

    The last step of the training pipeline that sets a size follows the drawn
    one: a crop of fixed size in segmentation, else a resizing. A monocular 3D
    recipe without either gets a resizing, which moves the camera along.

    Args:
        cfg: Config; changed in place.
        size_range: Smallest and largest size over the recipe's.
        num_scales: Number of sizes.

    Returns:
        Lines for the log.

    Raises:
        UserError: The pipeline sets no size, or the anchors are of a fixed
            size in pixels.
    """
    _check_anchors(cfg)
    sizes = {_use_drawn_size(part, cfg) for part in _parts(cfg)}
    if len(sizes) != 1:
        raise UserError(
            '--multi-scale: the training pipelines of the data sets set '
            f'different sizes: {sorted(sizes)}'
        )
    (base_size,) = sizes
    loader = cfg.train_dataloader
    for key in ('drop_last', 'shuffle'):
        loader.pop(key, None)
    loader.batch_sampler = dict(
        type='lvt_dense.VariableBatchSampler',
        base_size=base_size,
        size_range=tuple(size_range),
        num_scales=num_scales,
    )
    _pad_to_divisor(cfg)
    scales = list_scales(base_size, loader.batch_size, size_range, num_scales)
    table = ', '.join(f'{h}x{w}: {b}' for h, w, b in scales)
    return [f'batches of varying size (height x width: images): {table}']


def _parts(cfg: Config) -> list[Any]:
    """List the training data sets that have a pipeline of their own."""
    parts = [d for d in dataset_cfgs(cfg, 'train') if d.get('pipeline')]
    outer = cfg.train_dataloader.dataset
    if 'pipeline' in outer and outer not in parts:
        # The pipeline of a wrapper follows those of what it wraps.
        parts = [outer]
    return parts


def _use_drawn_size(dataset: Any, cfg: Config) -> tuple[int, int]:
    """Wrap the step that sets the size; return that size."""
    pipeline = list(dataset.pipeline)
    for index in reversed(range(len(pipeline))):
        step = pipeline[index]
        if step.get('type') == _SIZED:
            return tuple(step['base_size'])
        for key, first in (('crop_size', 'height'), ('scale', 'width')):
            pair = step.get(key)
            if not _is_pair(pair):
                continue
            height, width = pair if first == 'height' else pair[::-1]
            base_size = _round_up(height), _round_up(width)
            pipeline[index] = dict(
                type=_SIZED,
                transform=step,
                base_size=base_size,
                width_first=[key] if first == 'width' else [],
                height_first=[key] if first == 'height' else [],
            )
            dataset.pipeline = pipeline
            return base_size
    return _insert_resize_3d(dataset, cfg)


def _insert_resize_3d(dataset: Any, cfg: Config) -> tuple[int, int]:
    from lvt_dense.datasets.transforms.mono3d import Pack3DInputs

    scale, base_size = (1242, 375), (384, 1248)  # of KITTI's images
    pipeline = list(dataset.pipeline)
    for index, step in enumerate(pipeline):
        if issubclass(find_class(TRANSFORMS, step), Pack3DInputs):
            pipeline.insert(
                index,
                dict(
                    type=_SIZED,
                    transform=dict(type='lvt_dense.Resize3D', scale=scale),
                    base_size=base_size,
                ),
            )
            dataset.pipeline = pipeline
            return base_size
    raise UserError(
        f'--multi-scale: no step of the training pipeline of {cfg.filename} '
        'sets the size of the images (scale or crop_size)'
    )


def _is_pair(value: Any) -> bool:
    return (
        isinstance(value, (list, tuple))
        and len(value) == 2
        and all(isinstance(v, int) for v in value)
    )


def _round_up(side: int) -> int:
    return -(-side // DIVISOR) * DIVISOR


def _pad_to_divisor(cfg: Config) -> None:
    """Let a segmenter's preprocessor pad to a multiple, not to a size."""
    for owner in (cfg, cfg.model):
        preprocessor = owner.get('data_preprocessor')
        if preprocessor and preprocessor.get('size'):
            preprocessor.pop('size')
            preprocessor['size_divisor'] = DIVISOR


def _check_anchors(cfg: Config) -> None:
    from mmdet.models.task_modules import SSDAnchorGenerator

    head = cfg.model.get('bbox_head') or {}
    anchors = head.get('anchor_generator') if isinstance(head, dict) else None
    if not anchors:
        return
    if issubclass(find_class(TASK_UTILS, anchors), SSDAnchorGenerator):
        raise UserError(
            f'--multi-scale: the anchors of {anchors["type"]} have a fixed '
            'size in pixels, which does not follow the images; the heads of '
            'ssdlite_mobilevit_* have relative ones'
        )
