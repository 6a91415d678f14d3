"""Monocular 3D: lists of frames in the cache, and the config."""

from typing import Any

from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.kitti.folder import scan_kitti_folder
from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.utils.cache import store
from lvt_dense.utils.config_class import lookup_class

from .adapt import replace_datasets, replace_evaluators, set_variables
from .heads import find_heads
from .summary import count_objects

# What KITTI's own labels hold.
_STANDARD = {
    *('Pedestrian', 'Cyclist', 'Car'),
    *('Van', 'Truck', 'Person_sitting', 'Tram', 'Misc'),
}
# A metric that KittiMetric has whatever the classes are.
_HEADLINE = 'KITTI/3D_AP40_moderate_strict'


def default_classes(cfg: Config, data: LabeledData) -> list[str]:
    """Choose the classes to learn where ``--classes`` does not.

    The recipe's own, where the data are KITTI's; else all, in the order of
    their number.
    """
    dataset = next(dataset_cfgs(cfg, 'train'))
    cls = lookup_class(DATASETS, dataset['type'], cfg.get('default_scope'))
    own = (dataset.get('metainfo') or {}).get('classes')
    own = list(own or cls.METAINFO['classes'])
    if set(own) <= set(data.classes) <= {*_STANDARD, *own}:
        if set(data.classes) > set(own):
            data.notes.append(
                f'the classes are those of the recipe ({", ".join(own)}); '
                f'choose others of {", ".join(data.classes)} with --classes'
            )
        return own
    counts = count_objects([])
    for samples in data.splits.values():
        counts += count_objects(samples)
    order = sorted(range(len(data.classes)), key=lambda i: -counts[i])
    return [data.classes[i] for i in order]


def adapt_mono3d(cfg: Config, data: LabeledData) -> None:
    """Make a config read the data, in place.

    Args:
        cfg: Config of a monocular 3D detector.
        data: Labels with all three splits.
    """
    folder = scan_kitti_folder(data.root.resolve())
    palette = [tuple(c) for c in data.palette]
    files = {}
    for split, samples in data.splits.items():
        text = ''.join(f'{sample.path.stem}\n' for sample in samples)
        files[split] = str(store('kitti', f'{split}.txt', text.encode()))

    def dataset(split: str, kept: dict[str, Any]) -> dict[str, Any]:
        settings = folder.dataset_settings(files[split], data.classes)
        settings['metainfo']['palette'] = palette
        return dict(kept, **settings)

    def evaluator(split: str, old: dict | None) -> dict[str, Any]:
        metric = dict(old or dict(type='lvt_dense.KittiMetric'))
        overlaps = metric.get('overlaps') or {}
        known = {n: v for n, v in overlaps.items() if n in data.classes}
        if overlaps:
            metric['overlaps'] = known
        return metric

    replace_datasets(cfg, dataset)
    replace_evaluators(cfg, evaluator)
    scope = cfg.get('default_scope') or 'mmdet'
    for _, head, _ in list(find_heads(cfg.model, scope)):
        kind = lookup_class(MODELS, head.get('type'), scope)
        head.update(folder.head_settings(kind, data.classes))
    hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
    best = str(hook.get('save_best') or '')
    name, _, rest = best.removeprefix('KITTI/').partition('_3D_')
    if rest and name not in data.classes:
        hook['save_best'] = _HEADLINE
    set_variables(cfg, data_root=str(folder.root), classes=tuple(data.classes))
