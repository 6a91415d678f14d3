"""The classes of a checkpoint, and those of the config it is given with."""

from pathlib import Path

from mmengine.config import Config
from mmengine.logging import print_log

from lvt_dense.checkpoints.locate import locate
from lvt_dense.checkpoints.read import read_content
from lvt_dense.config import dataset_cfgs
from lvt_dense.datasets.metainfo import (
    metainfo_of_checkpoint,
    metainfo_of_config,
)
from lvt_dense.datasets.own.heads import find_class_counts, set_num_classes
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten

WARNING = 30


def classes_of_checkpoint(checkpoint: str | Path) -> tuple[str, ...]:
    """Return the classes that a checkpoint was trained for, if it says so."""
    content = read_content(locate(checkpoint), checkpoint)
    return tuple(metainfo_of_checkpoint(content).get('classes') or ())


def fit_classes(cfg: Config, checkpoint: str | Path) -> None:
    """Let a model count the classes that its checkpoint was trained for.

    A recipe counts those of its own data set, also where it was trained on
    data of one's own.

    Args:
        cfg: Config; its model is changed in place.
        checkpoint: The checkpoint; one that names no classes changes nothing.

    Raises:
        UserError: The model has sizes of the classes, which the checkpoint
            does not tell.
    """
    trained = classes_of_checkpoint(checkpoint)
    scope = cfg.get('default_scope') or 'mmengine'
    heads = list(find_class_counts(cfg.get('model'), scope))
    others = {number for _, _, number in heads} - {len(trained)}
    if not trained or not others:
        return
    if any('base_dims' in head for _, head, _ in heads):
        raise UserError(_describe(checkpoint, trained, max(others)))
    set_num_classes(cfg.model, len(trained), scope)
    print_log(
        f'{checkpoint} was trained for {len(trained)} classes '
        f'({shorten(trained)}), so the model is built for these classes',
        logger='current',
    )


def check_classes(cfg: Config, checkpoint: str | Path, split: str) -> None:
    """Check that a checkpoint and labeled data mean the same by a label.

    Args:
        cfg: Config with the data.
        checkpoint: The checkpoint; one that names no classes is not checked.
        split: The labeled data.

    Raises:
        UserError: They have other numbers of classes, or the same ones in
            another order.
    """
    trained = classes_of_checkpoint(checkpoint)
    if next(dataset_cfgs(cfg, split), None) is None or not trained:
        return
    classes = tuple(metainfo_of_config(cfg, split).get('classes') or ())
    if not classes or classes == trained:
        return
    if len(classes) != len(trained):
        raise UserError(_describe(checkpoint, trained, len(classes), classes))
    if set(classes) == set(trained):
        raise UserError(
            f'{checkpoint} was trained for the classes {shorten(trained, 20)}'
            f', and the {split} data have {shorten(classes, 20)}, in another '
            f'order: {_remedy(trained, classes)}'
        )
    print_log(
        f'{checkpoint} was trained for the classes {shorten(trained, 20)}, '
        f'and the {split} data have {shorten(classes, 20)}: labels are '
        'compared by their numbers',
        logger='current',
        level=WARNING,
    )


def _describe(
    checkpoint: str | Path,
    trained: tuple[str, ...],
    number: int,
    classes: tuple[str, ...] = (),
) -> str:
    return (
        f'{checkpoint} was trained for {len(trained)} classes '
        f'({shorten(trained)}), and the config has {number}: '
        f'{_remedy(trained, classes)}'
    )


def _remedy(trained: tuple[str, ...], classes: tuple[str, ...]) -> str:
    """Say how a checkpoint and data come together."""
    chosen = (
        f' and --classes "{",".join(trained)}"'
        if set(trained) <= set(classes)
        else ''
    )
    return (
        f'add --data DIR with the data of that training{chosen}, or give the '
        'config in its work directory, WORK_DIR/CONFIG.py'
    )
