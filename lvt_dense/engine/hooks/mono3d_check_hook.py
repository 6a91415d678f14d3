"""Compare a monocular 3D detector with its data before training."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner

from lvt_dense.registry import HOOKS
from lvt_dense.utils.errors import UserError

# Sizes that differ by more than this factor are those of another class.
_MAX_RATIO = 2.0


@HOOKS.register_module()
class Mono3DCheckHook(Hook):
    """Refuse to train a head that is made for other classes than the data's.

    Compared are the number of classes, and the base sizes of heads that
    have them with the mean sizes of the labels.
    """

    def before_train(self, runner: Runner) -> None:
        """Check the training data.

        Raises:
            UserError: The numbers of classes differ, or the sizes of a
                class differ by more than a factor of 2.
        """
        model = runner.model
        head = (model.module if is_model_wrapper(model) else model).bbox_head
        for dataset in _unwrap(runner.train_dataloader.dataset):
            _check_count(head, dataset)
            _check_sizes(head, dataset)


def _unwrap(dataset: Any) -> Iterator[Any]:
    """Yield the data sets inside all wrappers."""
    inner = getattr(dataset, 'datasets', None)
    if inner is None:
        single = getattr(dataset, 'dataset', None)
        inner = [] if single is None else [single]
    if not inner:
        yield dataset
    for part in inner:
        yield from _unwrap(part)


def _check_count(head: Any, dataset: Any) -> None:
    classes = dataset.metainfo['classes']
    if head.num_classes != len(classes):
        raise UserError(
            f'model.bbox_head has num_classes={head.num_classes}, but the '
            f'training data have {len(classes)} classes: '
            f'{", ".join(classes)}; set model.bbox_head.num_classes='
            f'{len(classes)}, or metainfo=dict(classes=...) of the data sets'
        )


def _check_sizes(head: Any, dataset: Any) -> None:
    base_dims = getattr(head, 'base_dims', None)
    means = getattr(dataset, 'mean_sizes', None)
    if base_dims is None or not means:
        return
    sizes = base_dims.tolist()
    for name, base, mean in zip(dataset.metainfo['classes'], sizes, means):
        if mean is None:
            continue
        ratio = np.array(base) / np.array(mean)
        if max(ratio.max(), 1 / ratio.min()) > _MAX_RATIO:
            fitting = [list(m or b) for m, b in zip(means, sizes)]
            raise UserError(
                f'model.bbox_head predicts the size of {name} relative to '
                f'{_text(base)} m, but the mean in the training data is '
                f'{_text(mean)} m (length x height x width); set '
                f'model.bbox_head.base_dims={fitting}'
            )


def _text(size: list[float]) -> str:
    return ' x '.join(f'{value:.2f}' for value in size)
