"""KITTI's AP as a metric of MMEngine, and the submission folder."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.datasets.kitti.results import write_results
from lvt_dense.registry import METRICS
from lvt_dense.utils.errors import UserError

from .average_precision import (
    CLASSES,
    DIFFICULTIES,
    Scores,
    count_valid,
    evaluate_kitti,
    score_key,
)
from .average_precision import (
    METRICS as KINDS,
)
from .table import format_scores

# Fewer ground truths than recall positions keep AP below 100.
_ENOUGH = 41

# The overlaps in the image are the same in both sets.
_KINDS = {'strict': KINDS, 'loose': ('bev', '3d')}


@METRICS.register_module()
class KittiMetric(BaseMetric):
    """2D, BEV, 3D AP and AOS of the classes of the data set.

    The metrics are named as in MMDetection3D, such as
    ``KITTI/Car_3D_AP40_moderate_strict``, in percent; NaN where there is
    nothing to measure. Those named ``loose``, of BEV and 3D only, take IoU
    0.5 for vehicles and 0.25 for the other classes.

    ``KITTI/3D_AP40_moderate_strict`` is the metric to select checkpoints by,
    whatever the classes: that of Car, by which KITTI ranks, if Car is a
    class; else the mean of all classes that have one.

    The metric reads ``pred_instances_3d`` (bboxes_3d, scores_3d, labels_3d,
    bboxes in the original image, alphas) and, from the metainfo,
    ``sample_idx``, ``ori_shape`` and ``eval_labels``, which
    :class:`KittiMonoDataset` gives in test mode. Without labels, as on the
    test set, it only writes the submission.

    Args:
        overlaps: IoU in (0, 1) that a match must exceed, by class. By
            default 0.7 for vehicles and 0.5 for other classes, as in KITTI.
        submission_dir: Folder for the result files that KITTI's server
            takes, one for each frame.
        collect_device: As in MMEngine's BaseMetric.
        prefix: As in MMEngine's BaseMetric.

    Raises:
        UserError: An overlap is none.
    """

    default_prefix = 'KITTI'

    def __init__(
        self,
        overlaps: Mapping[str, float] | None = None,
        submission_dir: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.overlaps = dict(overlaps or {})
        self.submission_dir = submission_dir
        for name, value in self.overlaps.items():
            if not 0 < value < 1:
                raise UserError(
                    f'overlaps={self.overlaps} of KittiMetric: the IoU of '
                    f'{name} is {value}; give a number between 0 and 1'
                )

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep the detections and the labels of a batch."""
        classes = self.dataset_meta['classes']
        for sample in data_samples:
            self.results.append(
                dict(
                    sample_idx=sample['sample_idx'],
                    detections=_to_objects(sample, classes),
                    labels=sample.get('eval_labels'),
                )
            )

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Score all frames, and write the submission if told to.

        Raises:
            UserError: There is neither a label nor a submission folder.
        """
        if self.submission_dir is not None:
            write_results(
                self.submission_dir,
                {item['sample_idx']: item['detections'] for item in results},
            )
        if any(item['labels'] is None for item in results):
            if self.submission_dir is None:
                raise UserError(
                    'these frames have no labels, so that no metric can be '
                    'computed; set submission_dir of KittiMetric to write '
                    "result files for KITTI's server"
                )
            return {}
        return self._score(
            [item['labels'] for item in results],
            [item['detections'] for item in results],
        )

    def _score(
        self, labels: list[KittiObjects], detections: list[KittiObjects]
    ) -> dict[str, float]:
        classes = _in_usual_order(self.dataset_meta['classes'])
        unknown = set(self.overlaps) - set(classes)
        if unknown:
            raise UserError(
                f'overlaps={self.overlaps} of KittiMetric: '
                f'{", ".join(sorted(unknown))} is no class of the data set; '
                f'its classes are {", ".join(classes)}'
            )
        metrics: dict[str, float] = {}
        for overlaps in ('strict', 'loose'):
            scores = evaluate_kitti(
                labels, detections, overlaps, classes, self.overlaps
            )
            table = format_scores(scores, _KINDS[overlaps], classes)
            print_log(f'KITTI, {overlaps} overlaps\n{table}', 'current')
            metrics.update(_name_metrics(scores, overlaps, classes))
        metrics['3D_AP40_moderate_strict'] = _headline(metrics, classes)
        if note := describe_limits(labels, classes):
            print_log(note, 'current')
        return metrics


def describe_limits(
    labels: Sequence[KittiObjects], classes: Sequence[str] = CLASSES
) -> str:
    """Name what the metrics are less sure of than they look.

    That is classes with so few ground truths that AP stays below 100, and
    ground truths without alpha.

    Returns:
        One line, empty if there are none.
    """
    few, none = [], []
    objects = KittiObjects.concatenate(labels)
    for name in classes:
        counts = {d: count_valid(labels, name, d) for d in DIFFICULTIES}
        for difficulty, count in counts.items():
            if 0 < count < _ENOUGH:
                limit = (count - 1) / (_ENOUGH - 1) * 100
                few.append(f'{name} {difficulty} {count} ({limit:.1f})')
        total = int(objects.is_type(name).sum())
        if total and not any(counts.values()):
            none.append(f'{name} 0 of {total}')
    notes = []
    if few:
        notes.append(
            'few ground truths, in brackets the AP|R40 that they allow at '
            f'most: {", ".join(few)}'
        )
    if none:
        notes.append(
            'no ground truth is tall and visible enough to count: '
            + ', '.join(none)
        )
    own = objects[objects.is_type(*classes)]
    missing = own.lacks_alpha()
    if missing.any():
        left = int(own.complete_alphas().lacks_alpha().sum())
        notes.append(
            f'{missing.sum()} of {len(own)} ground truths have no alpha '
            '(-10): it is computed from rotation_y and position'
            + (f', which {left} lack, too' if left else '')
        )
    return '; '.join(notes)


def _in_usual_order(classes: Sequence[str]) -> list[str]:
    """Put KITTI's classes first, in the order of its tables."""
    own = [name for name in CLASSES if name in classes]
    return own + [name for name in classes if name not in own]


def _name_metrics(
    scores: Scores, overlaps: str, classes: Sequence[str]
) -> dict[str, float]:
    metrics = {}
    for name in classes:
        for kind in _KINDS[overlaps]:
            for level, entry in scores[score_key(name, kind)].items():
                for points in ('40', '11'):
                    value = entry[f'R{points}']
                    key = f'{name}_{kind.upper()}_AP{points}_{level}'
                    metrics[f'{key}_{overlaps}'] = (
                        float('nan') if value is None else round(value, 4)
                    )
    return metrics


def _headline(metrics: dict[str, float], classes: Sequence[str]) -> float:
    ranked = ['Car'] if 'Car' in classes else classes
    values = [metrics[f'{n}_3D_AP40_moderate_strict'] for n in ranked]
    values = [value for value in values if not np.isnan(value)]
    return round(float(np.mean(values)), 4) if values else float('nan')


def _to_objects(sample: dict, classes: Sequence[str]) -> KittiObjects:
    predictions = sample['pred_instances_3d']

    def array(key: str) -> np.ndarray:
        return predictions[key].detach().cpu().double().numpy()

    labels = predictions['labels_3d'].cpu().numpy()
    if len(labels) and labels.max() >= len(classes):
        raise UserError(
            f'frame {sample["sample_idx"]}: the model predicts class '
            f'{labels.max()}, but the data set has {len(classes)} classes, '
            f'{", ".join(classes)}; set num_classes of the head to match'
        )
    height, width = sample['ori_shape'][:2]
    limit = np.array((width, height, width, height)) - 1
    unknown = np.full(len(labels), -1)
    objects = KittiObjects(
        types=np.array(classes, dtype=np.str_)[labels],
        truncated=unknown.astype(np.float64),
        occluded=unknown,
        alphas=array('alphas'),
        bboxes=array('bboxes').clip(0, limit),
        boxes_3d=array('bboxes_3d').reshape(-1, 7),
        scores=array('scores_3d'),
    )
    for key in ('alphas', 'bboxes', 'boxes_3d', 'scores'):
        if not np.isfinite(getattr(objects, key)).all():
            raise UserError(
                f'frame {sample["sample_idx"]}: the predicted {key} hold '
                'NaN or infinity; has the training diverged?'
            )
    return objects
