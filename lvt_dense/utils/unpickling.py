"""Read pickles of data without running any code that is in them.

A pickle names the functions that rebuild its objects, so reading one from
elsewhere with ``pickle.load`` runs whatever its author wanted. Here only
listed globals are called; what else a file asks for is refused, or replaced
by an object that does nothing.
"""

import pickle
from typing import Any

# How NumPy writes arrays, scalars and their types. The module was renamed
# in NumPy 2.
NUMPY_GLOBALS = frozenset(
    {
        'numpy.dtype',
        'numpy.ndarray',
        'numpy.core.multiarray._reconstruct',
        'numpy.core.multiarray.scalar',
        'numpy._core.multiarray._reconstruct',
        'numpy._core.multiarray.scalar',
    }
)


class DataUnpickler(pickle.Unpickler):
    """Unpickler that calls listed globals only.

    A subclass sets what is listed, and what happens to the rest.

    Attributes:
        allowed: Globals as ``module.name``.
        substitute: Class that stands for every other global; None refuses
            the file.
    """

    allowed: frozenset[str] = NUMPY_GLOBALS
    substitute: type | None = None

    def is_allowed(self, module: str, name: str) -> bool:
        """Check whether a global is harmless."""
        return f'{module}.{name}' in self.allowed

    def find_class(self, module: str, name: str) -> Any:
        """Look up a global that the file asks for.

        Raises:
            pickle.UnpicklingError: It is not allowed, and nothing stands
                for it.
        """
        if self.is_allowed(module, name):
            return super().find_class(module, name)
        if self.substitute is not None:
            return self.substitute
        raise pickle.UnpicklingError(f'it asks for {module}.{name}')
