"""Read files of ``torch.save`` without running any code that is in them.

``torch.load`` unpickles, which calls whatever a file names. Here a file gets
the functions that rebuild tensors, NumPy arrays and MMEngine's log history,
and nothing else: an object of any other class becomes one that does nothing.
PyTorch's own ``weights_only=True`` refuses a whole file for one such object.
"""

import pickle
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import IO, Any

import torch
from mmengine.logging import HistoryBuffer

from .errors import UserError
from .unpickling import NUMPY_GLOBALS

_TENSORS = (
    'rebuild_tensor',
    'rebuild_tensor_v2',
    'rebuild_tensor_v3',
    'rebuild_parameter',
    'rebuild_parameter_with_state',
    'rebuild_sparse_tensor',
    'rebuild_qtensor',
    'rebuild_meta_tensor_no_storage',
    'rebuild_device_tensor_from_numpy',
)
_ALLOWED = NUMPY_GLOBALS | {
    *(f'torch._utils._{name}' for name in _TENSORS),
    'torch._tensor._rebuild_from_type_v2',
    'torch.Tensor',
    'torch.nn.parameter.Parameter',
    'torch.Size',
    'torch.device',
    'torch.serialization._get_layout',
    'collections.OrderedDict',
    'collections.deque',
    'builtins.set',
    'builtins.frozenset',
    'builtins.bytearray',
    'builtins.complex',
    # as Python 2 and protocol 2 call them
    '__builtin__.set',
    '__builtin__.frozenset',
}
_PLAIN_TYPES = (torch.dtype, torch.qscheme, torch.layout, torch.memory_format)
_SCRIPT = 'constants.pkl'  # by which torch tells its archives of programs
_ZIP = b'PK\x03\x04'


def safe_load(
    file: str | Path | IO[bytes],
    map_location: Any = 'cpu',
    left_out: set[str] | None = None,
) -> Any:
    """Read a file of ``torch.save``, with placeholders for unsafe objects.

    Args:
        file: Path, or a file opened in binary mode.
        map_location: As in ``torch.load``.
        left_out: Set to add the dotted names of replaced classes and
            functions to.

    Raises:
        UserError: It is a TorchScript archive, which is a program.
        Exception: Whatever torch and pickle raise on a damaged file.
    """
    if _is_script(file):
        raise UserError(
            f'{getattr(file, "name", file)} is a TorchScript archive, which '
            'contains code and is not loaded: if you trust it, load it with '
            'torch.jit.load and save its state_dict() with torch.save'
        )
    return torch.load(
        file,
        map_location=map_location,
        pickle_module=_pickle_module(left_out if left_out is not None
                                     else set()),
        weights_only=False,
    )  # fmt: skip


def _is_script(file: str | Path | IO[bytes]) -> bool:
    """Ask torch, which would run it, whether a file is TorchScript."""
    if isinstance(file, (str, Path)):
        with open(file, 'rb') as opened:
            return _is_script(opened)
    start = file.tell()
    head = file.read(len(_ZIP))
    file.seek(start)
    if head != _ZIP:
        return False
    try:
        return _SCRIPT in torch._C.PyTorchFileReader(file).get_all_records()
    finally:
        file.seek(start)


def _pickle_module(left_out: set[str]) -> ModuleType:
    """Make what ``torch.load`` takes for the module pickle."""

    class Unpickler(_Unpickler):
        """Notes what is replaced."""

        replaced = left_out

    module: Any = SimpleNamespace(
        __name__=__name__,
        Unpickler=Unpickler,
        UnpicklingError=pickle.UnpicklingError,
        load=lambda file, **kwargs: Unpickler(file, **kwargs).load(),
    )
    return module


# The implementation in Python, whose steps can be changed.
class _Unpickler(pickle._Unpickler):
    replaced: set[str]
    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Look up a listed global; what stands for it, else."""
        if module == 'torch' and _is_plain(name):
            return getattr(torch, name)
        if (module, name) == ('_codecs', 'encode'):
            return _to_bytes
        if module.startswith('mmengine.') and name == 'HistoryBuffer':
            return _History
        if f'{module}.{name}' in _ALLOWED:
            return super().find_class(module, name)
        # The log history names its statistics as attributes of its class.
        if name != 'getattr':
            self.replaced.add(f'{module}.{name}')
        return Inert

    def load_build(self) -> None:
        """Set the state of an object, but not of a class or a function."""
        target: Any = self.stack[-2]  # type: ignore[attr-defined]
        if callable(target) and not isinstance(target, Inert):
            raise pickle.UnpicklingError(f'it wants to change {target}')
        super().load_build()  # type: ignore[misc]

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]


def _is_plain(name: str) -> bool:
    """Whether a name of torch is a type of storage or a constant."""
    found = getattr(torch, name, None)
    return isinstance(found, _PLAIN_TYPES) or (
        name.endswith('Storage') and isinstance(found, type)
    )


def _to_bytes(text: str, encoding: str) -> bytes:
    """Return bytes, which protocol 2 writes as text in Latin-1."""
    if encoding != 'latin1':
        raise pickle.UnpicklingError(f'bytes in the encoding {encoding!r}')
    return text.encode('latin1')


class _History(HistoryBuffer):
    """MMEngine's log history, its numbers alone.

    The class also pickles the functions that compute its statistics.
    """

    def __setstate__(self, state: Any) -> None:
        HistoryBuffer.__init__(self)
        for name in ('max_length', '_log_history', '_count_history'):
            if name in state:
                setattr(self, name, state[name])
        self.__class__ = HistoryBuffer


class Inert:
    """Stands for an object of a class that is not needed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> 'Inert':
        """Return itself, as a function that makes objects."""
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Take and forget an item of a list-like object."""

    def extend(self, values: Any) -> None:
        """Take and forget items of a list-like object."""

    def add(self, value: Any) -> None:
        """Take and forget an item of a set-like object."""
