"""Training is refused where head and data have other classes."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from lvt_dense.engine.hooks import Mono3DCheckHook
from lvt_dense.utils.errors import UserError

TRUCK, VAN = (10.1, 3.2, 2.6), (5.0, 2.2, 1.9)


def _run(
    num_classes: int,
    classes: tuple[str, ...],
    means: list | None = None,
    base_dims: list | None = None,
    wrapped: bool = False,
) -> None:
    data: Any = SimpleNamespace(
        metainfo=dict(classes=classes), mean_sizes=means
    )
    if wrapped:
        data = SimpleNamespace(datasets=[SimpleNamespace(dataset=data)])
    head = SimpleNamespace(num_classes=num_classes)
    if base_dims:
        head.base_dims = torch.tensor(base_dims)
    Mono3DCheckHook().before_train(
        SimpleNamespace(
            model=SimpleNamespace(bbox_head=head),
            train_dataloader=SimpleNamespace(dataset=data),
        )
    )


@pytest.mark.parametrize('wrapped', [False, True])
def test_numbers_of_classes(wrapped: bool) -> None:
    classes = ('Pedestrian', 'Cyclist', 'Car')
    _run(3, classes, wrapped=wrapped)
    message = 'num_classes=2, .* 3 classes: Pedestrian, Cyclist, Car'
    with pytest.raises(UserError, match=message):
        _run(2, classes, wrapped=wrapped)


def test_sizes_of_other_classes() -> None:
    fitting = [[9.0, 3.0, 2.5], [4.0, 2.0, 1.8]]
    _run(2, ('Truck', 'Van'), [TRUCK, VAN], fitting)
    _run(2, ('Truck', 'Van'), [None, VAN], [[1.0, 1, 1], fitting[1]])
    message = (
        'size of Van relative to 0.80 x 1.73 x 0.60 m, but .* 5.00 x 2.20 x '
        r'1.90 m .*base_dims=\[\[10.1, 3.2, 2.6\], \[5.0, 2.2, 1.9\]\]'
    )
    with pytest.raises(UserError, match=message):
        _run(2, ('Truck', 'Van'), [TRUCK, VAN], [fitting[0], [0.8, 1.73, 0.6]])
