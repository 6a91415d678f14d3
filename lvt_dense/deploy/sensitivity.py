"""Find the layers that int8 harms most, by measurement."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from lvt_dense.deploy.parity import compare_outputs
from lvt_dense.utils.progress import tqdm

Feed = Mapping[str, np.ndarray]

GROUPS = 12  # of consecutive layers, which are judged together
MOST = 4  # groups that may stay in float
ENOUGH = 0.005  # share of unequal results at which the search ends
PROBES = 16  # images that the error is measured on
_WEIGHTED = ('Convolution', 'GroupConvolution', 'MatMul')


def find_sensitive(
    model: Any,
    feeds: Sequence[Feed],
    quantize: Callable[[Any, Sequence[Feed], Sequence[str]], Any],
    call: Callable[[Any, str], Callable[[Feed], Feed]],
) -> list[str]:
    """Find the layers that are better left in float.

    The model is quantized once as a whole and once without each group of
    consecutive layers; the groups whose absence helps most are left out
    together, one after the other, until the results are close enough to
    those in float, or no longer get closer.

    Args:
        model: ``openvino.Model`` in float.
        feeds: Inputs that int8 is fitted to; the error is measured on the
            first of them.
        quantize: Quantizes the model for feeds, without the layers named.
        call: Returns what runs a model at a precision.

    Returns:
        Names of the layers, in their order.
    """
    probes = list(feeds[:PROBES])
    expected = _outputs(call(model, 'int8'), probes)

    def error(names: Sequence[str]) -> float:
        quantized = quantize(model, feeds, names)
        found = _outputs(call(quantized, 'int8'), probes)
        return float(np.mean(list(map(_distance, expected, found))))

    names = layer_names(model)
    groups = [list(g) for g in np.array_split(names, GROUPS) if len(g)]
    return choose_groups(groups, error)


def choose_groups(
    groups: Sequence[Sequence[str]], error: Callable[[Sequence[str]], float]
) -> list[str]:
    """Choose the groups whose absence lowers an error most.

    Args:
        groups: Names of the layers of each group.
        error: Error of a model without some layers quantized.
    """
    best = error([])
    if best <= ENOUGH:
        return []
    progress = tqdm(groups, desc='sensitivity', unit='group')
    errors = [error(group) for group in progress]
    kept: list[int] = []
    for index in np.argsort(errors)[:MOST]:
        # A group that does not stand out is not worth its time in float.
        if best <= ENOUGH or errors[index] >= np.median(errors):
            break
        tried = sorted([*kept, int(index)])
        now = error([name for i in tried for name in groups[i]])
        if now < best:
            best, kept = now, tried
    return [name for i in kept for name in groups[i]]


def layer_names(model: Any) -> list[str]:
    """Return the names of the layers with weights or products, in order."""
    return [
        str(operation.get_friendly_name())
        for operation in model.get_ordered_ops()
        if operation.get_type_name() in _WEIGHTED
    ]


def _outputs(
    run: Callable[[Feed], Feed], feeds: Sequence[Feed]
) -> list[dict[str, np.ndarray]]:
    return [
        {name: value.copy() for name, value in run(feed).items()}
        for feed in feeds
    ]


def _distance(one: Feed, two: Feed) -> float:
    """Share of unequal pixels or detections, or difference of the maps."""
    gaps = compare_outputs(one, two)
    known = ('labels', 'unmatched', 'maps')
    return next(gaps[name] for name in known if name in gaps)
