"""Read the tensors of a checkpoint file without running code in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.optional import import_optional
from lvt_dense.utils.safe_load import safe_load

from .locate import locate
from .records import WeightFile

# What training codes put around the tensors; averaged weights come first,
# because the published results are theirs. MMEngine is the exception: there
# ``state_dict`` holds the averaged weights, ``ema_state_dict`` the others.
WRAPPERS = (
    'model_ema',
    'state_dict_ema',
    'net_E',
    'params_ema',
    'ema',
    'state_dict',
    'ema_state_dict',
    'model_state_dict',
    'model',
    'net',
    'params',
    'module',
)
# What wrappers of models put before every key.
PREFIXES = ('module.', '_orig_mod.', 'model.', 'net.')
# Counters that averaging keeps beside the averaged model.
_COUNTERS = ('steps', 'n_averaged')


@dataclass(frozen=True)
class Checkpoint:
    """The tensors of a file, and what had to be taken off to get at them.

    Attributes:
        state: Tensors by key, on the CPU.
        path: The file.
        wrapper: Keys of the dicts around the tensors, dotted; empty for none.
        prefix: What stood before every key.
    """

    state: dict[str, Tensor]
    path: Path
    wrapper: str = ''
    prefix: str = ''

    def under(self, prefix: str) -> dict[str, Tensor]:
        """Return tensors whose key begins with ``prefix``, without it.

        The prefix may also be what is left of it once the one that all keys
        share is gone.
        """
        for shared in (self.prefix, ''):
            found = {
                (shared + key).removeprefix(prefix): value
                for key, value in self.state.items()
                if (shared + key).startswith(prefix)
            }
            if found:
                return found
        return {}

    def __str__(self) -> str:
        parts = [str(self.path)]
        if self.wrapper:
            parts.append(f'tensors under {self.wrapper!r}')
        if self.prefix:
            parts.append(f'without the prefix {self.prefix!r}')
        return ', '.join(parts)


def read_state_dict(source: str | Path | WeightFile) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint, see :func:`read_checkpoint`."""
    return read_checkpoint(source).state


def read_checkpoint(source: str | Path | WeightFile) -> Checkpoint:
    """Read a checkpoint of any of the known wrappings.

    Objects in the file other than tensors and containers are replaced by
    placeholders, so that their code does not run and their package does not
    have to be installed.

    Args:
        source: A ``.pth``, ``.pt``, ``.tar``, ``.bin`` or ``.safetensors``
            file, by any name that :func:`locate` takes. Downloads are kept,
            see :mod:`lvt_dense.checkpoints.cache`.

    Returns:
        The tensors, without wrapping and common prefix.

    Raises:
        UserError: The file is missing, cannot be read, or holds no tensors.
    """
    path = locate(source)
    state, wrapper = _unwrap(read_content(path, source))
    if not state:
        raise UserError(
            f'checkpoint {_title(source)} holds no tensors by name; looked '
            f'at the top level and under {", ".join(WRAPPERS)}'
        )
    state, prefix = _without_prefix(state)
    return Checkpoint(state, path, '.'.join(wrapper), prefix)


def read_content(path: Path, source: object = None) -> Any:
    """Read all that is in a file; unknown classes become empty objects.

    Args:
        path: The file.
        source: What the user calls it, for messages.

    Raises:
        UserError: The file cannot be read.
    """
    try:
        return _load(path)
    except UserError:
        raise
    except Exception as error:  # zip, pickle and torch all have their own
        raise UserError(
            f'checkpoint {_title(source or path)} cannot be read '
            f'({str(error) or type(error).__name__}): is the file complete, '
            'and was it written by torch.save?'
        ) from error


def _title(source: object) -> str:
    return source.name if isinstance(source, WeightFile) else str(source)


def _load(path: Path) -> Any:
    if path.suffix == '.safetensors':
        module = import_optional('safetensors.torch', str(path), 'safetensors')
        return module.load_file(path)
    return safe_load(path)


def _unwrap(content: Any) -> tuple[dict[str, Tensor], list[str]]:
    """Return the tensors by key, and the keys that lead to them."""
    if not isinstance(content, Mapping):
        return {}, []
    for wrapper in WRAPPERS:
        state, inner = _unwrap(content.get(wrapper))
        if state:
            return state, [wrapper, *inner]
    tensors = {
        k: v.detach()
        for k, v in content.items()
        if isinstance(k, str) and isinstance(v, Tensor)
    }
    return tensors, []


def _without_prefix(
    state: dict[str, Tensor],
) -> tuple[dict[str, Tensor], str]:
    """Take off the prefixes that all keys share."""
    taken = ''
    while True:
        keys = [key for key in state if key not in _COUNTERS]
        prefix = next(
            (p for p in PREFIXES if all(k.startswith(p) for k in keys)), ''
        )
        if not keys or not prefix:
            return state, taken
        state = {key[len(prefix) :]: state[key] for key in keys}
        taken += prefix
