"""Let a config read images of other than three bands."""

from typing import Any

from mmengine.config import Config
from mmengine.registry import TRANSFORMS

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.own.adapt import steps_of
from lvt_dense.deploy.inputs import channels_of, preprocessor_of
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError

_COLOR = 3
# Transforms of MMDetection, MMSegmentation and this package that look upon
# the three channels as colors, and those that paste pictures of three.
_RECOLOR = (
    *('PhotoMetricDistortion', 'YOLOXHSVRandomAug', 'SSDColorJitter'),
    *('ColorTransform', 'AutoContrast', 'Equalize', 'Posterize'),
    *('Sharpness', 'Solarize', 'Color', 'Brightness', 'Contrast', 'CLAHE'),
)
_PASTE = (
    *('CachedMosaic', 'CachedMixUp', 'Mosaic', 'MixUp'),
    *('YOLOXMixUp', 'CopyPaste', 'RandomMosaic'),
)
_LOADERS = ('LoadImageFromFile', 'InferencerLoader', 'LoadImageFromNDArray')


def fit_bands(cfg: Config) -> list[str]:
    """Make pipelines and normalization follow ``in_channels``.

    Images are loaded with all bands in the order of the file, transforms of
    colors are left out, and mean and standard deviation are those of the
    config where it has one a band, and else one of all.

    Args:
        cfg: Config; changed in place if ``model.backbone.in_channels`` is
            not 3.

    Returns:
        Lines that say what was changed.

    Raises:
        UserError: The config uses transforms or a data preprocessor for
            three channels only.
    """
    if not isinstance(cfg.get('model'), dict):
        return []
    count = channels_of(cfg)
    if count == _COLOR or not isinstance(count, int):
        return []
    for step in list(steps_of(cfg)):
        if isinstance(step, dict):
            _fit_step(cfg, step, count)
    dropped = _drop_recoloring(cfg)
    lines = _fit_normalization(cfg, count)
    if dropped:
        lines.append(
            f'images of {count} bands: {", ".join(sorted(dropped))} are left '
            'out of the pipelines, as they change colors'
        )
    return lines


def _fit_step(cfg: Config, step: dict, count: int) -> None:
    kind = _name_of(cfg, step)
    if kind in _PASTE:
        raise UserError(
            f'model.backbone.in_channels={count}: {step["type"]} pastes '
            'pictures of three channels; choose another recipe, or give '
            '--augment light'
        )
    if kind in _LOADERS:
        step['type'] = 'lvt_dense.LoadImageFromFile'
        step['bands'] = count
        for key in ('color_type', 'imdecode_backend'):
            step.pop(key, None)
    for key in ('mean', 'std'):
        if len(step.get(key) or ()) == _COLOR and kind == 'Expand':
            step[key] = [sum(step[key]) / _COLOR] * count


def _name_of(cfg: Config, step: dict) -> str:
    kind = step.get('type')
    cls = lookup_class(TRANSFORMS, kind, cfg.get('default_scope') or 'mmdet')
    name = cls.__name__ if isinstance(cls, type) else str(kind)
    return name.rpartition('.')[2]


def _drop_recoloring(cfg: Config) -> set[str]:
    dropped: set[str] = set()

    def without(steps: Any) -> Any:
        if not isinstance(steps, (list, tuple)):
            return steps
        kept = []
        for step in steps:
            if isinstance(step, dict) and _name_of(cfg, step) in _RECOLOR:
                dropped.add(_name_of(cfg, step))
            else:
                kept.append(without(step))
        return kept

    for split in ('train', 'val', 'test'):
        for dataset in dataset_cfgs(cfg, split):
            if dataset.get('pipeline'):
                dataset['pipeline'] = without(dataset['pipeline'])
    for hook in cfg.get('custom_hooks') or []:
        if hook.get('switch_pipeline'):
            hook['switch_pipeline'] = without(hook['switch_pipeline'])
    for key in ('train_pipeline', 'test_pipeline', 'tta_pipeline'):
        if key in cfg:
            cfg[key] = without(cfg[key])
    return dropped


def _fit_normalization(cfg: Config, count: int) -> list[str]:
    lines = []
    settings = preprocessor_of(cfg)
    for key in ('mean', 'std'):
        values = settings.get(key)
        if values is None or len(values) in (1, count):
            continue
        if len(values) != _COLOR:
            raise UserError(
                f'model.data_preprocessor.{key} has {len(values)} values for '
                f'{count} bands: give {count}, or one for all'
            )
        settings[key] = [sum(values) / len(values)]
        lines.append(
            f'images of {count} bands: model.data_preprocessor.{key} is '
            f'{settings[key][0]:.2f} for each, the average of the '
            f"recipe's; set it to {count} values of your own images"
        )
    for key in ('bgr_to_rgb', 'rgb_to_bgr'):
        if settings.get(key):
            settings[key] = False
    known = {
        'DetDataPreprocessor': 'lvt_dense.DetBandsPreprocessor',
        'SegDataPreProcessor': 'lvt_dense.SegBandsPreprocessor',
    }
    kind = str(settings.get('type')).rpartition('.')[2]
    settings['type'] = known.get(kind, settings.get('type'))
    return lines
