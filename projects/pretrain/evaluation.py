"""How many images are classified right, and whether a model can be."""

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from lvt_dense.registry import HOOKS, METRICS
from lvt_dense.utils.errors import UserError


@METRICS.register_module()
class TopKAccuracy(BaseMetric):
    """Share of the images whose class is among the k of highest score.

    A class of equal score counts as higher, and scores that are no numbers
    are always wrong.

    Args:
        topk: Values of k; those from the number of classes up say nothing,
            and are left out.
        classwise: Also report the top-1 of every class.
        **kwargs: As for MMEngine's ``BaseMetric``.
    """

    default_prefix = 'accuracy'

    def __init__(
        self,
        topk: Sequence[int] = (1, 5),
        classwise: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.topk, self.classwise = tuple(topk), classwise

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep label and rank of every image of a batch."""
        for sample in data_samples:
            scores, label = sample['pred_scores'], sample['gt_label']
            rank = int((scores >= scores[label]).sum()) - 1
            if not torch.isfinite(scores).all():
                rank = len(scores)
            self.results.append((label, rank, len(scores)))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Return percentages, by name.

        Args:
            results: Label, rank and number of classes of every image.
        """
        labels, ranks, counts = torch.tensor(results).T
        metrics = {
            f'top{k}': _percent(ranks < k)
            for k in self.topk
            if k == 1 or k < counts[0]
        }
        if self.classwise:
            names = (self.dataset_meta or {}).get('classes', range(counts[0]))
            for index, name in enumerate(names):
                of_class = ranks[labels == index]
                if len(of_class):
                    metrics[f'top1_{name}'] = _percent(of_class < 1)
        return metrics


def _percent(right: torch.Tensor) -> float:
    return 100 * float(right.double().mean())


@HOOKS.register_module()
class ClassCountHook(Hook):
    """Compare the classes of a classifier with those of the data."""

    priority = 'VERY_HIGH'

    def before_train(self, runner: Runner) -> None:
        """Check the training data."""
        _compare(runner, runner.train_dataloader)

    def before_val(self, runner: Runner) -> None:
        """Check the validation data."""
        _compare(runner, runner.val_dataloader)

    def before_test(self, runner: Runner) -> None:
        """Check the test data."""
        _compare(runner, runner.test_dataloader)


def _compare(runner: Runner, loader: Any) -> None:
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    classes = loader.dataset.metainfo['classes']
    if model.num_classes != len(classes):
        raise UserError(
            f'model.num_classes is {model.num_classes}, but '
            f'{loader.dataset.data_root} has {len(classes)} classes: set '
            f'--cfg-options model.num_classes={len(classes)}'
        )
