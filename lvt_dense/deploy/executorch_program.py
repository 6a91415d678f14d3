"""Graphs as ExecuTorch programs, partly delegated to XNNPACK."""

import copy
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from lvt_dense.deploy.formats import Call, Feed
from lvt_dense.deploy.greedy import select_by_scan, suppress_by
from lvt_dense.deploy.metadata import KEY
from lvt_dense.deploy.onnx_program import raw_hint, reason_of
from lvt_dense.deploy.operators import operators_of, refuse_untranslated
from lvt_dense.deploy.quiet import silence
from lvt_dense.utils.errors import UserError

MAX_RANK = 6  # of XNNPACK's tensors


def convert(
    graph: nn.Module,
    example: tuple[torch.Tensor, ...],
    info: dict[str, Any],
) -> bytes:
    """Convert a graph to a program of one image of one size.

    What XNNPACK cannot compute is left to the portable operators.

    Args:
        graph: The graph.
        example: Its inputs.
        info: Metadata, which the program's method ``lvt_dense`` returns.

    Returns:
        Content of a ``.pte`` file.

    Raises:
        UserError: The graph does not convert.
    """
    from executorch.exir import to_edge_transform_and_lower

    info['batch'] = 1
    # The program takes inputs of the layout that these have.
    example = tuple(value.contiguous() for value in example)
    with torch.no_grad(), silence():
        try:
            _prepare(graph)
            with suppress_by(graph, select_by_scan):
                program = torch.export.export(graph, example)
            refuse_untranslated(operators_of(program), 'ExecuTorch')
            _drop_aliases(program)
            edge = to_edge_transform_and_lower(
                program,
                partitioner=[_make_partitioner()],
                constant_methods={KEY: json.dumps(info)},
            )
            return edge.to_executorch().buffer
        except UserError:
            raise
        except Exception as error:  # each pass has its own
            raise UserError(
                f'the model does not convert to ExecuTorch: {reason_of(error)}'
                + raw_hint(info)
            ) from error


def _prepare(graph: nn.Module) -> None:
    """Give every use of a convolution one of its own, every norm weights.

    XNNPACK folds batch norms into the weights in place: where several norms
    follow one convolution, as in RTMDet's head, it folds all of them in. Norms
    without weights, as in MonoCon's heads, all take those of the first.
    """
    seen: set[int] = set()
    for parent in list(graph.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, nn.Conv2d):
                if id(child) in seen:
                    parent._modules[name] = copy.deepcopy(child)
                seen.add(id(child))
            elif isinstance(child, nn.BatchNorm2d) and not child.affine:
                child.affine = True
                child.weight = nn.Parameter(torch.ones(child.num_features))
                child.bias = nn.Parameter(torch.zeros(child.num_features))


def _drop_aliases(program: torch.export.ExportedProgram) -> None:
    """Remove copies of whole tensors, such as slices that cut off nothing.

    The portable operator refuses those of XNNPACK's layout.
    """
    for node in program.graph.nodes:
        if node.target is torch.ops.aten.alias.default:
            node.replace_all_uses_with(node.args[0])
            program.graph.erase_node(node)
    program.graph_module.recompile()


def _make_partitioner() -> Any:
    """Make a partitioner that leaves tensors of high rank to other operators.

    XNNPACK's own takes permutations of any rank, and the program does not
    load then.
    """
    from executorch.backends.xnnpack.partition.config import (
        ALL_PARTITIONER_CONFIGS,
    )
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
        XnnpackPartitioner,
    )

    def limit(config: type) -> type:
        class Limited(config):
            def check_constraints(self, node: Any, ep: Any) -> bool:
                return _rank(node) <= MAX_RANK and super().check_constraints(
                    node, ep
                )

        return Limited

    return XnnpackPartitioner([limit(c) for c in ALL_PARTITIONER_CONFIGS])


def _rank(node: torch.fx.Node) -> int:
    """Return the largest number of axes of a node's inputs and output."""
    nodes = (node, *node.all_input_nodes)
    values = [other.meta.get('val') for other in nodes]
    tensors = [v for v in values if isinstance(v, torch.Tensor)]
    return max((tensor.dim() for tensor in tensors), default=0)


def load(content: bytes, names: Sequence[str]) -> Call:
    """Load a program into ExecuTorch's runtime.

    Args:
        content: Content of a ``.pte`` file.
        names: Names of the outputs, which the file does not hold.
    """
    from executorch.runtime import Runtime, Verification

    runtime = Runtime.get()
    program = runtime.load_program(
        content, verification=Verification.InternalConsistency
    )
    method = program.load_method('forward')

    def run(feed: Feed) -> dict[str, np.ndarray]:
        values = [
            torch.from_numpy(np.array(v, order='C')) for v in feed.values()
        ]
        # The outputs lie in the method's own memory.
        found = [value.numpy().copy() for value in method.execute(values)]
        return dict(zip(names, found))

    return run
