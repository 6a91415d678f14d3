"""Presets of augmentation, made of MMDetection's and MMSegmentation's parts.

What a preset replaces lies between the loading and the packing of a training
pipeline; the resizing that the test pipeline does stays.
"""

from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.own.task import task_of
from lvt_dense.utils.errors import UserError

RECIPE = 'recipe'
PRESETS = ('none', 'light', RECIPE, 'strong', 'aerial', 'industrial')
_GRAY = 114
_ALL_FLIPS = ['horizontal', 'vertical', 'diagonal']
_TWO_FLIPS = ['horizontal', 'vertical']


def use_augment(cfg: Config, preset: str) -> list[str]:
    """Replace the augmentation of the training pipelines.

    - ``none``: images as in the test;
    - ``light``: mirrored, with small changes of color;
    - ``recipe``: as the config has it;
    - ``strong``: changes of scale, crops, mirrored, strong changes of color;
    - ``aerial``: images from above, which have no upright side;
    - ``industrial``: a fixed camera: small shifts and changes of light.

    Args:
        cfg: Config; changed in place.
        preset: One of :data:`PRESETS`.

    Returns:
        The pipeline in lines for the log.

    Raises:
        UserError: There is no such preset, or it does not fit the task.
    """
    if preset not in PRESETS:
        raise UserError(
            f'--augment {preset}: choose from {", ".join(PRESETS)}'
        )
    task = task_of(cfg)
    if task == 'mono3d' and preset in ('aerial', 'industrial'):
        raise UserError(
            f'--augment {preset}: monocular 3D needs a camera that stands '
            'upright; choose none, light, recipe or strong'
        )
    parts = [d for d in dataset_cfgs(cfg, 'train') if d.get('pipeline')]
    if preset != RECIPE:
        if not parts:
            raise UserError('--augment: the training set has no pipeline')
        for part in parts:
            part.pipeline = _build(cfg, part.pipeline, preset, task)
        _drop_later_pipelines(cfg)
    return [
        f'augmentation: {preset}',
        *(_describe(step) for step in (parts[0].pipeline if parts else [])),
    ]


def _build(
    cfg: Config, pipeline: Sequence[dict], preset: str, task: str
) -> list[dict]:
    """Put a preset between loading and packing."""
    head = [s for s in pipeline if _name(s).startswith('Load')]
    tail = [s for s in pipeline if _name(s).startswith('Pack')]
    kept = [s for s in pipeline if _name(s).startswith('Filter')]
    if not head or not tail:
        raise UserError(
            f'--augment {preset}: the training pipeline does not begin with '
            'Load... and end with Pack..., so it is left to the config'
        )
    if task == 'mono3d':
        return [*head, *kept, *_mono3d(preset), *tail]
    test = next(iter(dataset_cfgs(cfg, 'test'))).pipeline
    resize = [
        step for step in test if not _name(step).startswith(('Load', 'Pack'))
    ]
    if task == 'semantic':
        return [*head, *_semantic(preset, resize, pipeline), *tail]
    return [*head, *_detection(preset, resize), *kept, *tail]


def _name(step: dict) -> str:
    return str(step['type']).split('.')[-1].split('::')[-1]


def _detection(preset: str, resize: Sequence[dict]) -> list[dict]:
    """Return steps for boxes and masks (transforms of MMDetection)."""
    flip = dict(type='mmdet.RandomFlip', prob=0.5)
    crop = dict(
        type='mmdet.MinIoURandomCrop',
        min_ious=(0.3, 0.5, 0.7, 0.9),
        min_crop_size=0.3,
    )
    weak_color = _color('mmdet', 16, (0.8, 1.2), 9)
    before, after = {
        'none': ([], []),
        'light': ([weak_color], [flip]),
        'strong': (
            [
                _color('mmdet', 32, (0.5, 1.5), 18),
                dict(
                    type='mmdet.Expand',
                    mean=(_GRAY, _GRAY, _GRAY),
                    to_rgb=False,
                    ratio_range=(1, 2),
                    prob=0.5,
                ),
                crop,
            ],
            [flip],
        ),
        'aerial': (
            [weak_color, crop],
            [dict(flip, prob=[0.25] * 3, direction=_ALL_FLIPS)],
        ),
        'industrial': (
            [
                _color('mmdet', 24, (0.7, 1.3), 4),
                *(
                    # Unlike RandomShift, they move masks as well.
                    dict(
                        type=f'mmdet.Translate{axis}',
                        prob=0.5,
                        min_mag=0.0,
                        max_mag=0.1,
                        img_border_value=_GRAY,
                    )
                    for axis in 'XY'
                ),
            ],
            [dict(flip, prob=[0.25] * 2, direction=_TWO_FLIPS)],
        ),
    }[preset]
    return [*before, *resize, *after]


def _semantic(
    preset: str, resize: Sequence[dict], pipeline: Sequence[dict]
) -> list[dict]:
    """Return steps for label maps (transforms of MMSegmentation).

    The crop stays that of the recipe, as the batches are made of it.
    """
    crops = [s for s in pipeline if _name(s).endswith('RandomCrop')]
    flip = dict(type='RandomFlip', prob=0.5)
    wide = [
        dict(
            type='RandomResize',
            scale=step['scale'],
            ratio_range=(0.5, 2.0),
            keep_ratio=True,
        )
        if _name(step) == 'Resize'
        else step
        for step in resize
    ]

    def turn(degree: float) -> dict:
        return dict(
            type='mmseg.RandomRotate',
            prob=0.5,
            degree=degree,
            pad_val=_GRAY,
            seg_pad_val=255,
        )

    return {
        'none': [*resize, *crops],
        'light': [
            *resize,
            *crops,
            flip,
            _color('mmseg', 16, (0.8, 1.2), 9),
        ],
        'strong': [
            *wide,
            turn(10.0),
            *crops,
            flip,
            _color('mmseg', 32, (0.5, 1.5), 18),
        ],
        'aerial': [
            *wide,
            turn(45.0),
            *crops,
            dict(flip, prob=[0.25] * 2, direction=_TWO_FLIPS),
            _color('mmseg', 16, (0.8, 1.2), 9),
        ],
        'industrial': [
            *resize,
            turn(3.0),
            *crops,
            dict(flip, prob=[0.25] * 2, direction=_TWO_FLIPS),
            _color('mmseg', 24, (0.7, 1.3), 4),
        ],
    }[preset]


def _mono3d(preset: str) -> list[dict]:
    flip = dict(type='lvt_dense.RandomFlip3D', prob=0.5)
    return {
        'none': [],
        'light': [_color('mmdet', 16, (0.8, 1.2), 9), flip],
        'strong': [
            _color('mmdet', 32, (0.5, 1.5), 18),
            dict(type='lvt_dense.RandomShift3D', prob=0.5, max_shift=32),
            flip,
        ],
    }[preset]


def _color(
    scope: str, brightness: int, contrast: tuple[float, float], hue: int
) -> dict:
    return dict(
        type=f'{scope}.PhotoMetricDistortion',
        brightness_delta=brightness,
        contrast_range=contrast,
        saturation_range=contrast,
        hue_delta=hue,
    )


def _drop_later_pipelines(cfg: Config) -> None:
    """Remove hooks that would put the recipe's pipeline back."""
    hooks = cfg.get('custom_hooks') or []
    cfg.custom_hooks = [h for h in hooks if 'switch_pipeline' not in h]


def _describe(step: dict[str, Any]) -> str:
    options = ', '.join(f'{k}={v}' for k, v in step.items() if k != 'type')
    return f'  {step["type"]}({options})'
