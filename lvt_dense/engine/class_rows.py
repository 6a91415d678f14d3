"""Move the outputs of a head from one set of classes to another.

A detector or segmenter has a few tensors whose size depends on the number of
classes. They are found by building the model twice, with the number of
classes of the data and with one more: the tensors that grow depend on the
classes, and their growth is the number of rows of a class.
"""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.registry import MODELS
from torch import Tensor, nn

from lvt_dense.datasets.own.heads import find_class_counts, set_num_classes
from lvt_dense.utils.config_class import lookup_class
from lvt_dense.utils.errors import UserError


@dataclass(frozen=True)
class RowLayout:
    """Meaning of the rows of a tensor, from the first to the last.

    Attributes:
        groups: Groups that have all classes each, such as anchors.
        before: Rows of a group before those of the classes, such as the
            values of a box.
        block: Rows of one class.
        after: Rows of a group after those of the classes, such as the
            background.
    """

    groups: int = 1
    before: int = 0
    block: int = 1
    after: int = 0

    def count_rows(self, num_classes: int) -> int:
        """Return the number of rows for a number of classes."""
        width = self.before + self.block * num_classes + self.after
        return self.groups * width

    def count_classes(self, num_rows: int) -> int | None:
        """Return the number of classes of a number of rows, if one fits."""
        width, rest = divmod(num_rows, self.groups)
        count, more = divmod(width - self.before - self.after, self.block)
        return None if rest or more or count < 0 else count

    def copy_rows(
        self,
        old: Tensor,
        new: Tensor,
        pairs: Sequence[tuple[int, int]],
    ) -> Tensor | None:
        """Copy the rows of classes that both tensors have.

        Args:
            old: Tensor of the trained model.
            new: Tensor of the new model, whose other rows stay.
            pairs: Index of each common class in the old and the new model.

        Returns:
            A tensor like ``new``; None if the old one has another layout.
        """
        counts = [self.count_classes(len(t)) for t in (old, new)]
        if None in counts or old.shape[1:] != new.shape[1:]:
            return None
        source = old.unflatten(0, (self.groups, -1))
        target = new.detach().clone().unflatten(0, (self.groups, -1))
        target[:, : self.before] = source[:, : self.before]
        if self.after:
            target[:, -self.after :] = source[:, -self.after :]
        for theirs, ours in pairs:
            there, here = (
                slice(first, first + self.block)
                for first in (
                    self.before + i * self.block for i in (theirs, ours)
                )
            )
            target[:, here] = source[:, there]
        return target.flatten(0, 1)


def build_shapes(model: Mapping[str, Any], scope: str) -> nn.Module:
    """Build a model for the shapes of its tensors, without memory.

    Args:
        model: Config of the model.
        scope: Default scope of the config.
    """
    with MODELS.switch_scope_and_registry(scope) as registry:
        try:
            with torch.device('meta'):
                return registry.build(deepcopy(model))
        except UserError:
            raise
        except (RuntimeError, NotImplementedError, TypeError, ValueError):
            # Some heads compute with tensors while they are built.
            with torch.random.fork_rng(devices=[]):
                return registry.build(deepcopy(model))


def find_layouts(
    model: Mapping[str, Any], scope: str, num_classes: int
) -> tuple[nn.Module, dict[str, RowLayout | None]]:
    """Find the tensors of a model that depend on the classes.

    Args:
        model: Config of the model.
        scope: Default scope of the config.
        num_classes: Number of classes of the data.

    Returns:
        The model, and the layout of each of these tensors; None where it is
        not understood.
    """
    own = build_shapes(model, scope)
    larger = dict(deepcopy(model))
    set_num_classes(larger, num_classes + 1, scope)
    _add_sizes(larger, scope)
    grown = build_shapes(larger, scope).state_dict()
    layouts: dict[str, RowLayout | None] = {}
    for key, value in own.state_dict().items():
        other = grown.get(key)
        if other is None or other.shape == value.shape:
            continue
        layouts[key] = None
        if value.ndim and other.shape[1:] == value.shape[1:]:
            slope = len(other) - len(value)
            offset = len(value) - slope * num_classes
            layouts[key] = _layout_of(own, key, slope, offset)
    return own, layouts


def _add_sizes(model: dict, scope: str) -> None:
    """Give heads with mean sizes of the classes those of one more."""
    for _, head, number in find_class_counts(model, scope):
        cls = lookup_class(MODELS, head.get('type'), scope)
        if inspect.isclass(cls) and (
            'base_dims' in inspect.signature(cls).parameters
        ):
            head['base_dims'] = [[1.0, 1.0, 1.0]] * number


def _layout_of(
    model: nn.Module, key: str, slope: int, offset: int
) -> RowLayout | None:
    """Tell the layout of a tensor of ``slope * classes + offset`` rows."""
    from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
    from mmdet.models.roi_heads.bbox_heads import BBoxHead

    head = _owner(model, key)
    if slope < 1 or head is None:
        return None
    if isinstance(head, BBoxHead):  # the values of a class are neighbors
        if slope > 1:
            return RowLayout(block=slope) if offset == 0 else None
        return RowLayout(after=offset) if offset in (0, 1) else None
    if isinstance(head, BaseDenseHead):  # all scores of an anchor are
        before = getattr(head, 'rows_before_classes', 0)
        width, rest = divmod(offset, slope)
        after = width - before
        if rest or after not in (0, 1):
            return None
        return RowLayout(slope, before=before, after=after)
    return RowLayout() if slope == 1 and offset == 0 else None


def _owner(model: nn.Module, key: str) -> nn.Module | None:
    """Return the innermost module around a tensor that counts classes."""
    parts = key.split('.')[:-1]
    for end in range(len(parts), 0, -1):
        module = model.get_submodule('.'.join(parts[:end]))
        if hasattr(module, 'num_classes'):
            return module
    return None


def normalize_name(name: str) -> str:
    """Return the name of a class without case, spaces and underscores."""
    return ''.join(c for c in name.lower() if c not in ' _-')


def pair_classes(
    old: Iterable[str], new: Iterable[str]
) -> list[tuple[int, int]]:
    """Pair the classes of two models by name.

    Args:
        old: Names of the trained model.
        new: Names of the data.

    Returns:
        Index of each common class in both, in the order of the data. Each
        is used once.
    """
    index: dict[str, int] = {}
    for i, name in enumerate(old):
        index.setdefault(normalize_name(name), i)
    pairs = []
    for i, name in enumerate(new):
        found = index.pop(normalize_name(name), None)
        if found is not None:
            pairs.append((found, i))
    return pairs
