"""Count the objects in an image, and raise the limits of their number."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.registry import METRICS

from lvt_dense.config import evaluators
from lvt_dense.datasets.coco_index import CocoIndex
from lvt_dense.datasets.own.formats.labeled_data import Sample
from lvt_dense.utils.config_class import lookup_class

from .adapt import find_dicts

# How configs of detectors name the number of boxes of an image.
_LIMITS = ('max_per_img', 'max_per_image', 'topk', 'nms_pre')
_STEP = 100  # limits are raised to a multiple of it
_COUNTED = 100  # boxes of which mAP is, but for our own evaluator
_OURS = (1, 10, _COUNTED)
_THEIRS = (100, 300, 1000)  # what MMDetection's metric counts


@dataclass(frozen=True)
class ObjectCounts:
    """The largest numbers of objects in an image, crowds included.

    Attributes:
        of_image: Of all classes.
        of_class: Of one class.
    """

    of_image: int = 0
    of_class: int = 0

    @classmethod
    def from_samples(cls, samples: Sequence[Sample]) -> 'ObjectCounts':
        """Count the labels of images."""
        counts = [Counter(o.label for o in s.objects) for s in samples]
        return cls(
            max((c.total() for c in counts), default=0),
            max((max(c.values(), default=0) for c in counts), default=0),
        )

    @classmethod
    def from_index(
        cls, index: CocoIndex, classes: Sequence[str] | None
    ) -> 'ObjectCounts':
        """Count the annotations of a COCO file.

        Args:
            index: Of the file.
            classes: Names of those that count; None counts all.
        """
        names = [name for _, name in index.categories]
        kept = [classes is None or name in classes for name in names]
        used = np.array(kept, bool)[index.labels]
        owners = np.repeat(np.arange(len(index.images)), np.diff(index.first))
        owners, labels = owners[used], index.labels[used]
        if not len(owners):
            return cls()
        pairs = owners * len(names) + labels
        return cls(*(int(np.bincount(x).max()) for x in (owners, pairs)))


def box_limits(cfg: Config) -> Iterator[tuple[str, dict, str]]:
    """Yield every number in a model that limits the boxes of an image.

    Yields:
        Its dotted path, the dict that holds it, and the key there.
    """
    parts = [('model', cfg.get('model')), ('tta_model', cfg.get('tta_model'))]
    for start, model in parts:
        for path, settings in _test_settings(model, start):
            for key in _LIMITS:
                value = settings.get(key)
                if isinstance(value, int) and value > 0:
                    yield f'{path}.{key}', settings, key


def _test_settings(
    part: Any, path: str, inside: bool = False
) -> Iterator[tuple[str, dict]]:
    if isinstance(part, (list, tuple)):
        for index, item in enumerate(part):
            yield from _test_settings(item, f'{path}.{index}', inside)
    elif isinstance(part, dict):
        if inside:
            yield path, part
        for key, value in part.items():
            is_test = inside or key in ('test_cfg', 'tta_cfg')
            yield from _test_settings(value, f'{path}.{key}', is_test)


def find_low_limits(cfg: Config, split: str, most: ObjectCounts) -> list[str]:
    """Find limits with which perfect predictions would not be perfect.

    Args:
        cfg: Config of a detector.
        split: ``val`` or ``test``.
        most: Of the images of the split.

    Returns:
        One entry for each limit that is too small, with its path.
    """
    faults = [
        f'{path}={settings[key]}'
        for path, settings, key in box_limits(cfg)
        if settings[key] < most.of_image
    ]
    faults += _find_low_queries(cfg, most)
    for metric in _coco_metrics(cfg, split):
        if _counted_by(cfg, metric) < most.of_class:
            numbers = _numbers_of(cfg, metric)
            faults.append(f'{split}_evaluator.proposal_nums={numbers}')
    return faults


def raise_limits(cfg: Config, most: ObjectCounts) -> list[str]:
    """Raise the limits of model and metrics to the number of objects.

    Args:
        cfg: Config of a detector; changed in place.
        most: Of the images of all splits.

    Returns:
        Lines that say what was changed, and what cannot be.
    """
    changes = []
    for path, settings, key in list(box_limits(cfg)):
        if settings[key] < most.of_image:
            settings[key] = _round_up(most.of_image)
            changes.append(f'{path}={settings[key]}')
    for split in ('val', 'test'):
        for metric in _coco_metrics(cfg, split):
            if _counted_by(cfg, metric) < most.of_class:
                _raise_metric(cfg, metric, _round_up(most.of_class))
                changes.append(
                    f'{split}_evaluator.proposal_nums='
                    f'{metric["proposal_nums"]}'
                )
    lines = []
    if changes:
        lines.append(
            f'an image has up to {most.of_image} objects, and up to '
            f'{most.of_class} of one class, so these limits are raised: '
            f'{", ".join(changes)}'
        )
    lines += [
        f'an image has up to {most.of_image} objects, but the model finds no '
        f'more than {fault}: set it to {_round_up(most.of_image)}'
        for fault in _find_low_queries(cfg, most)
    ]
    return lines


def _find_low_queries(cfg: Config, most: ObjectCounts) -> list[str]:
    # A number of weights, which are not ours to change.
    return [
        f'num_queries={part["num_queries"]}'
        for part in find_dicts(cfg.get('model'))
        if isinstance(part.get('num_queries'), int)
        and part['num_queries'] < most.of_image
    ]


def _round_up(number: int) -> int:
    return -(-number // _STEP) * _STEP


def _metric_class(cfg: Config, metric: dict) -> Any:
    scope = cfg.get('default_scope') or 'mmdet'
    return lookup_class(METRICS, metric.get('type'), scope)


def _coco_metrics(cfg: Config, split: str) -> list[dict]:
    from mmdet.evaluation import CocoMetric

    found = []
    for metric in evaluators(cfg, split):
        kind = _metric_class(cfg, metric)
        if isinstance(kind, type) and issubclass(kind, CocoMetric):
            found.append(metric)
    return found


def _is_theirs(cfg: Config, metric: dict) -> bool:
    from mmdet.evaluation import CocoMetric

    return _metric_class(cfg, metric) is CocoMetric


def _numbers_of(cfg: Config, metric: dict) -> tuple[int, ...]:
    default = _THEIRS if _is_theirs(cfg, metric) else _OURS
    return tuple(metric.get('proposal_nums') or default)


def _has_own_average(metric: dict) -> bool:
    """Whether mAP is of the largest number of boxes."""
    backend = metric.get('backend') or 'pycocotools'
    return backend == 'pycocotools' and not metric.get('use_mp_eval')


def _counted_by(cfg: Config, metric: dict) -> int:
    """Boxes of an image and class that all metrics take into account."""
    if _is_theirs(cfg, metric):
        return _COUNTED  # its mAP, whatever the numbers
    return _numbers_of(cfg, metric)[-1]


def _raise_metric(cfg: Config, metric: dict, number: int) -> None:
    """Make a metric count more boxes, and rename recalls accordingly."""
    if _is_theirs(cfg, metric):
        # Ours has mAP of the last number; the names of recalls stay.
        first, second, last = _numbers_of(cfg, metric)
        metric['type'] = 'lvt_dense.CocoMetric'
        metric['proposal_nums'] = (first, second, max(last, number))
        return
    numbers = _numbers_of(cfg, metric)
    old, middle = f'@{numbers[-1]}', numbers[1]
    if not _has_own_average(metric):
        middle = _COUNTED
    metric['proposal_nums'] = (numbers[0], middle, number)
    items = metric.get('metric_items')
    if items:
        metric['metric_items'] = [_renamed(i, old, number) for i in items]
    hooks = cfg.get('default_hooks') or {}
    saving = hooks.get('checkpoint') or {}
    if isinstance(saving.get('save_best'), str):
        saving['save_best'] = _renamed(saving['save_best'], old, number)


def _renamed(name: str, old: str, number: int) -> str:
    return name.replace(old, f'@{number}') if name.endswith(old) else name
