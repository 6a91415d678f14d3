"""KITTI's AP as a metric of MMEngine, and the submission folder."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.errors import UserError
from lvt_dense.registry import METRICS

from .average_precision import (
    CLASSES,
    DIFFICULTIES,
    Scores,
    count_valid,
    evaluate_kitti,
)
from .average_precision import (
    METRICS as KINDS,
)
from .results import format_table, write_results

# Fewer ground truths than recall positions keep AP below 100.
_ENOUGH = 41

# The overlaps in the image are the same in both sets.
_KINDS = {'strict': KINDS, 'loose': ('bev', '3d')}


@METRICS.register_module()
class KittiMetric(BaseMetric):
    """2D, BEV, 3D AP and AOS of Car, Pedestrian and Cyclist.

    The figures are named as in MMDetection3D, such as
    ``KITTI/Car_3D_AP40_moderate_strict``, in percent; NaN where there is
    nothing to measure. Those named ``loose``, of BEV and 3D only, take IoU
    0.5 for Car and 0.25 for Pedestrian and Cyclist.

    It reads ``pred_instances_3d`` (bboxes_3d, scores_3d, labels_3d, bboxes
    in the original image, alphas) and, from the metainfo, ``sample_idx``,
    ``ori_shape`` and ``eval_labels``, which :class:`KittiMonoDataset` gives
    in test mode. Without labels, as on the test set, it only writes the
    submission.

    Args:
        submission_dir: folder for the result files that KITTI's server
            takes, one for each frame.
        collect_device, prefix: as in MMEngine's BaseMetric.
    """

    default_prefix = 'KITTI'

    def __init__(
        self,
        submission_dir: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
    ) -> None:
        super().__init__(collect_device=collect_device, prefix=prefix)
        self.submission_dir = submission_dir

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keeps the detections and the labels of a batch."""
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
        """Scores all frames, and writes the submission if told to.

        Raises:
            UserError: there is neither a label nor a submission folder.
        """
        if self.submission_dir is not None:
            write_results(
                self.submission_dir,
                {item['sample_idx']: item['detections'] for item in results},
            )
        if any(item['labels'] is None for item in results):
            if self.submission_dir is None:
                raise UserError(
                    'these frames have no labels, so that no figure can be '
                    'computed; set submission_dir of KittiMetric to write '
                    "result files for KITTI's server"
                )
            return {}
        labels = [item['labels'] for item in results]
        detections = [item['detections'] for item in results]
        figures: dict[str, float] = {}
        for overlaps in ('strict', 'loose'):
            scores = evaluate_kitti(labels, detections, overlaps)
            table = format_table(scores, _KINDS[overlaps])
            print_log(f'KITTI, {overlaps} overlaps\n{table}', 'current')
            figures.update(_name_figures(scores, overlaps))
        if note := describe_small_counts(labels):
            print_log(note, 'current')
        return figures


def describe_small_counts(labels: Sequence[KittiObjects]) -> str:
    """Which classes have so few ground truths that AP cannot reach 100.

    One line, empty if there are none. The figure is right even so, but
    means little.
    """
    notes = []
    for name in CLASSES:
        for difficulty in DIFFICULTIES:
            count = count_valid(labels, name, difficulty)
            if 0 < count < _ENOUGH:
                limit = (count - 1) / (_ENOUGH - 1) * 100
                notes.append(f'{name} {difficulty} {count} ({limit:.1f})')
    if not notes:
        return ''
    return (
        'few ground truths, in brackets the AP|R40 that they allow at most: '
        + ', '.join(notes)
    )


def _name_figures(scores: Scores, overlaps: str) -> dict[str, float]:
    figures = {}
    for name in CLASSES:
        for kind in _KINDS[overlaps]:
            for level, entry in scores[f'{name.lower()}_{kind}'].items():
                for points in ('40', '11'):
                    value = entry[f'R{points}']
                    key = f'{name}_{kind.upper()}_AP{points}_{level}'
                    figures[f'{key}_{overlaps}'] = (
                        float('nan') if value is None else round(value, 4)
                    )
    return figures


def _to_objects(sample: dict, classes: Sequence[str]) -> KittiObjects:
    predictions = sample['pred_instances_3d']

    def array(key: str) -> np.ndarray:
        return predictions[key].detach().cpu().double().numpy()

    labels = predictions['labels_3d'].cpu().numpy()
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
