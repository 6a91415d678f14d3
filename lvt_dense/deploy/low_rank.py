"""Graphs of tensors with four axes at most, of a batch of one image.

NCNN has no others. Windows and heads are cut out by tensors of up to eight
axes, which only ever are views, permuted, and taken apart: their values are
kept with few axes here, and a permutation becomes exchanges of neighbors.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, fx, nn

from lvt_dense.utils.errors import UserError

MAX_RANK = 4
_aten = torch.ops.aten
_VIEWS = (
    _aten.view,
    _aten.reshape,
    _aten._unsafe_view,
    _aten.unflatten,
    _aten.flatten,
    _aten.unsqueeze,
    _aten.squeeze,
)
_EXPANSIONS = (_aten.expand, _aten.expand_as)
_COPIES = (_aten.clone, _aten.contiguous, _aten.alias, _aten.dropout)


def _shapes(value: Any) -> Any:
    """Return the shape of a tensor, or those of several."""
    if isinstance(value, Tensor):
        return tuple(map(int, value.shape))
    if isinstance(value, (list, tuple)):
        return [_shapes(part) for part in value]
    return ()


@dataclass
class Wide:
    """A tensor of many axes.

    Attributes:
        data: Its values in their order, with :data:`MAX_RANK` axes or fewer.
        shape: Its shape.
    """

    data: Tensor
    shape: tuple[int, ...]


def permute(x: Tensor, shape: Sequence[int], order: Sequence[int]) -> Tensor:
    """Permute a tensor by exchanges of neighboring blocks of axes.

    Args:
        x: Values of the tensor, in their order.
        shape: Its shape, of any number of axes.
        order: Which axis comes where.

    Returns:
        The values in their new order, with up to four axes.
    """
    axes = [axis for axis in range(len(shape)) if shape[axis] > 1]
    wanted = [axis for axis in order if shape[axis] > 1]
    for place in range(len(axes)):
        # What follows each other in both orders moves as one.
        first = axes.index(wanted[place])
        if first == place:
            continue
        last = first + 1
        while last < len(axes) and wanted[place + last - first] == axes[last]:
            last += 1
        groups = [axes[:place], axes[place:first]]
        groups += [axes[first:last], axes[last:]]
        sizes = [math.prod(shape[axis] for axis in g) for g in groups]
        x = _exchange(x, sizes)
        axes = [*groups[0], *groups[2], *groups[1], *groups[3]]
    return x


def _exchange(x: Tensor, sizes: Sequence[int]) -> Tensor:
    """Exchange the middle two of four axes."""
    before, one, two, after = sizes
    if before == 1:
        return x.reshape(one, two, after).permute(1, 0, 2)
    return x.reshape(before, one, two, after).permute(0, 2, 1, 3)


def _add_product(
    x: Tensor, one: Tensor, two: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    return beta * x + alpha * torch.bmm(one, two)


def _add_elements(
    x: Tensor, one: Tensor, two: Tensor, *, value: float = 1
) -> Tensor:
    return x + value * (one * two)


# Sums that NCNN has no single layer for.
_SUMS: dict[Any, Any] = {
    _aten.baddbmm: _add_product,
    _aten.addcmul: _add_elements,
}


class _Narrow(fx.Interpreter):
    """Run a graph with few axes."""

    def run_node(self, n: fx.Node) -> Any:
        if n.op != 'call_function':
            return super().run_node(n)
        if 'constant' in n.meta:
            return n.meta['constant']
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        packet = getattr(n.target, 'overloadpacket', n.target)
        if packet is _aten.scaled_dot_product_attention:
            return _attend(*args, **kwargs)
        shape = n.meta['shape']
        source: Any = args[0] if args else None
        if packet in _COPIES:
            return source
        if isinstance(source, Wide):
            return _run_wide(packet, source, args, shape)
        if packet in _VIEWS and len(shape) > MAX_RANK:
            return Wide(source, shape)
        if packet in _SUMS:
            return _SUMS[packet](*args, **kwargs)
        if packet in _EXPANSIONS:
            return _repeat(source, shape)
        return super().run_node(n)


def _run_wide(packet: Any, x: Wide, args: Sequence[Any], shape: Any) -> Any:
    rank = len(x.shape)
    if packet in _VIEWS:
        return _shaped(x.data, shape)
    if packet in (_aten.permute, _aten.transpose):
        order = list(range(rank))
        if packet is _aten.permute:
            order = [axis % rank for axis in args[1]]
        else:
            one, two = (axis % rank for axis in args[1:3])
            order[one], order[two] = order[two], order[one]
        return _shaped(permute(x.data, x.shape, order), shape)
    if packet in (_aten.unbind, _aten.select, _aten.slice):
        axis = (args[1] if len(args) > 1 else 0) % rank
        count = x.shape[axis]
        data = x.data.reshape(math.prod(x.shape[:axis]), count, -1)
        if packet is _aten.select:
            return _shaped(data[:, args[2]], shape)
        if packet is _aten.slice:
            return _shaped(data[:, slice(*args[2:])], shape)
        return [_shaped(data[:, i], part) for i, part in enumerate(shape)]
    raise UserError(
        f'{packet} of a tensor of {rank} axes: NCNN has at most {MAX_RANK}'
    )


def _shaped(data: Tensor, shape: Sequence[int]) -> Tensor | Wide:
    if len(shape) > MAX_RANK:
        return Wide(data, tuple(shape))
    return data.reshape(tuple(shape))


def _repeat(x: Tensor, shape: Sequence[int]) -> Tensor:
    """Expand a tensor by copies, for which NCNN has a layer."""
    sizes = [int(n) for n in x.shape]
    sizes = [1] * (len(shape) - len(sizes)) + sizes
    x = x.reshape(sizes)
    counts = [wanted // n for wanted, n in zip(shape, sizes)]
    return x if set(counts) == {1} else x.repeat(counts)


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None = None,
    *others: Any,
    scale: float | None = None,
    **kwargs: Any,
) -> Tensor:
    """Attend by two products and a softmax, (B, heads, L, C) each."""
    *outer, length, width = map(int, query.shape)
    shape = (*outer, length, int(value.shape[-1]))
    scale = width**-0.5 if scale is None else scale
    query, key, value = (x.flatten(0, -3) for x in (query, key, value))
    logits = torch.bmm(query * scale, key.transpose(1, 2))
    if bias is not None:
        grid = (*outer, length, int(key.shape[1]))
        logits = (logits.reshape(grid) + bias).flatten(0, -3)
    return torch.bmm(logits.softmax(-1), value).reshape(shape)


@torch.no_grad()
def _fold_constants(program: Any) -> None:
    """Compute what depends on no input, such as tables of positions."""
    known: dict[fx.Node, Any] = {}
    for node in program.graph.nodes:
        if node.op == 'get_attr':
            value = attrgetter(node.target)(program)
            if isinstance(value, Tensor):
                value = value.detach()
            known[node] = value
        elif node.op == 'call_function' and all(
            other in known for other in node.all_input_nodes
        ):
            args, kwargs = fx.node.map_arg(
                (node.args, dict(node.kwargs)), known.__getitem__
            )
            known[node] = value = node.target(*args, **kwargs)
            is_wide = isinstance(value, Tensor) and value.dim() > MAX_RANK
            node.meta['constant'] = (
                Wide(value.flatten(), tuple(value.shape)) if is_wide else value
            )


class LowRank(nn.Module):
    """A module, run with tensors of four axes at most.

    Args:
        module: The module.
        example: Its inputs, whose shapes are fixed.
    """

    def __init__(self, module: nn.Module, example: tuple[Tensor, ...]) -> None:
        super().__init__()
        self.program: Any = torch.export.export(module, example).module()
        for node in self.program.graph.nodes:
            # A trace would follow what becomes of a tensor's shape.
            node.meta['shape'] = _shapes(node.meta.get('val'))
        _fold_constants(self.program)

    def forward(self, *inputs: Tensor) -> Any:
        """Return what the module does."""
        narrow = _Narrow(self.program)
        narrow.extra_traceback = False  # would end up in messages
        return narrow.run(*inputs)
