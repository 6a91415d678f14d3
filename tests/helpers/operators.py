"""Which operators run, and which of them wait for the device."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

# On a GPU the host waits for their results: their output, or its size, is a
# number that it must know to go on.
WAITING = frozenset(
    ('_local_scalar_dense', 'nonzero', 'masked_select', 'equal', '_unique2')
)


class Operators(TorchDispatchMode):
    """Note the names of the operators that run, and those that wait."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operator."""
        name = func.overloadpacket.__name__
        if name.startswith('index') and _has_mask(args):
            name = 'nonzero'  # that is how a mask becomes an index
        self.names.append(name)
        return func(*args, **(kwargs or {}))

    @property
    def waiting(self) -> list[str]:
        """Those that wait."""
        return [name for name in self.names if name in WAITING]


def _has_mask(args: Any) -> bool:
    indices = args[1] if len(args) > 1 else None
    return isinstance(indices, (list, tuple)) and any(
        isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8)
        for index in indices
    )
