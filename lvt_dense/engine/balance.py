"""Draw images with rare classes more often: ``train --balance``."""

from collections.abc import Sequence
from copy import deepcopy
from typing import Any

import numpy as np
from mmengine.config import Config, ConfigDict
from mmengine.dataset import ClassBalancedDataset
from mmengine.registry import DATASETS

from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.balance import (
    Presence,
    choose_threshold,
    find_presence,
    repeat_factors,
    repeat_indices,
)
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError

SHOWN = 8  # classes that have a line


def use_balance(cfg: Config) -> list[str]:
    """Balance the training data of a config, see :mod:`~..datasets.balance`.

    The data set itself is wrapped, inside of wrappers that repeat it or mix
    its images. The threshold is the share of the images with the most
    frequent class, or less if an epoch would more than double.

    Args:
        cfg: Config; changed in place. Its data are there.

    Returns:
        Lines for the log that say which classes are drawn more often.

    Raises:
        UserError: The data are balanced already, or do not list the classes
            in an image.
    """
    scope = cfg.get('default_scope') or 'mmengine'
    owner = cfg.train_dataloader
    while _is_wrapper(owner['dataset']):
        owner = owner['dataset']
        cls = lookup_class(DATASETS, owner.get('type'), scope)
        if isinstance(cls, type) and issubclass(cls, ClassBalancedDataset):
            raise UserError(
                f'--balance: {owner["type"]} already balances the training '
                'data; leave the option out'
            )
    part = owner['dataset']
    probe = Config(dict(train_dataloader=dict(dataset=deepcopy(part))))
    for inner in dataset_cfgs(probe, 'train'):
        inner['pipeline'] = []
    with DATASETS.switch_scope_and_registry(scope) as registry:
        dataset = registry.build(probe.train_dataloader.dataset)
    dataset.full_init()
    presence = find_presence(dataset)
    threshold = choose_threshold(presence)
    if not threshold:
        raise UserError('--balance: no image of the training data has a label')
    owner['dataset'] = ConfigDict(
        type='lvt_dense.BalancedDataset',
        dataset=part,
        oversample_thr=threshold,
    )
    return describe(dataset.metainfo['classes'], presence, threshold)


def _is_wrapper(dataset: Any) -> bool:
    return isinstance(dataset, dict) and isinstance(
        dataset.get('dataset'), dict
    )


def describe(
    names: Sequence[str], presence: Presence, threshold: float
) -> list[str]:
    """Describe how often the classes are drawn.

    Args:
        names: Names of the classes.
        presence: Labels in each image.
        threshold: See :func:`~lvt_dense.datasets.balance.repeat_factors`.

    Returns:
        Lines for the log, the class that is drawn most often first.
    """
    number = len(presence)
    indices = repeat_indices(repeat_factors(presence, threshold))
    drawn = np.bincount(indices, minlength=number)
    rows = []
    for label, name in enumerate(names):
        has = np.array([label in labels for labels in presence])
        if 0 < has.sum() < threshold * number:  # else with a rare one alone
            factor = float(drawn[has].mean())
            rows.append(
                (
                    factor,
                    f'class {name} in {has.sum()} of {number} '
                    f'images is drawn {factor:.1f} times as often',
                )
            )
    rows = sorted((r for r in rows if round(r[0], 1) > 1), key=lambda r: -r[0])
    head = (
        f'--balance: oversample_thr={threshold:.3g}, an epoch '
        f'has {len(indices)} images instead of {number}'
    )
    if not rows:
        return [f'{head}: no class is rarer than the others']
    lines = [head, *(text for _, text in rows[:SHOWN])]
    if len(rows) > SHOWN:
        lines.append(
            f'and {len(rows) - SHOWN} other classes, with smaller factors'
        )
    return lines
