"""Read the tensors of a checkpoint file, and run nothing that is in it."""

import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlparse

import torch
from torch import Tensor

from lvt_dense.errors import UserError

# What the official training codes put around the tensors; averaged weights
# come first, because the published figures are theirs.
WRAPPERS = (
    'model_ema',
    'state_dict_ema',
    'net_E',
    'state_dict',
    'model',
    'net',
)
_PLAIN = {
    'torch._utils._rebuild_tensor',
    'torch._utils._rebuild_tensor_v2',
    'torch._utils._rebuild_parameter',
    'torch.Size',
    'collections.OrderedDict',
    'builtins.set',
}


def read_state_dict(source: str) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint of any of the known wrappings.

    A file is data: objects in it that are no tensors or containers are
    replaced by inert ones, so that neither their code runs nor their package
    has to be installed.

    Args:
        source: Path or http(s) URL of a ``.pth``, ``.pt``, ``.tar``, ``.bin``
            or ``.safetensors`` file. Downloads stay in torch's hub folder.

    Returns:
        Tensors by key, on the CPU, without wrapping and ``module.`` prefix.

    Raises:
        UserError: The file is missing, cannot be read, or holds no tensors.
    """
    path = _local(str(source))
    if not path.is_file():
        raise UserError(f'checkpoint {source} does not exist')
    try:
        content = _load(path)
    except UserError:
        raise
    except Exception as error:  # zip, pickle and torch all have their own
        raise UserError(
            f'checkpoint {source} cannot be read ({error}): is the file '
            'complete, and was it written by torch.save?'
        ) from error
    state = _unwrap(content)
    if not state:
        raise UserError(
            f'checkpoint {source} holds no tensors by name; looked at the '
            f'top level and under {", ".join(WRAPPERS)}'
        )
    return state


def _local(source: str) -> Path:
    url = urlparse(source)
    if url.scheme not in ('http', 'https'):
        return Path(source).expanduser()
    path = Path(torch.hub.get_dir(), 'checkpoints', Path(url.path).name)
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            torch.hub.download_url_to_file(source, str(path))
        except OSError as error:
            raise UserError(
                f'checkpoint {source} cannot be downloaded ({error}); fetch '
                'it by other means and give the path'
            ) from error
    return path


def _load(path: Path) -> Any:
    if path.suffix == '.safetensors':
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise UserError(
                f'{path} needs the package safetensors: '
                'pip install safetensors'
            ) from error
        return load_file(path)
    return torch.load(
        path,
        map_location='cpu',
        pickle_module=_inert_pickle,
        weights_only=False,
    )


def _unwrap(content: Any) -> dict[str, Tensor]:
    while isinstance(content, dict):
        inner = [content[k] for k in WRAPPERS if k in content]
        inner = [c for c in inner if isinstance(c, dict) and c]
        if not inner:
            break
        content = inner[0]
    if not isinstance(content, dict):
        return {}
    tensors = {
        k: v.detach()
        for k, v in content.items()
        if isinstance(k, str) and isinstance(v, Tensor)
    }
    if all(key.startswith('module.') for key in tensors):
        return {key[len('module.') :]: v for key, v in tensors.items()}
    return tensors


class _Inert:
    """Stands for an object of a class that the tensors do not need."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    def __call__(self, *args: Any, **kwargs: Any) -> '_Inert':
        return self

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def append(self, value: Any) -> None:
        """Take and forget an item of a list-like object."""

    def extend(self, values: Any) -> None:
        """Take and forget items of a list-like object."""


def _is_plain(module: str, name: str) -> bool:
    """Whether a global of a pickle is needed for tensors, and harmless."""
    if module == 'torch' and (
        name.endswith('Storage')
        or isinstance(getattr(torch, name, None), torch.dtype)
    ):
        return True
    return f'{module}.{name}' in _PLAIN


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if _is_plain(module, name):
            return super().find_class(module, name)
        return _Inert


_inert_pickle = SimpleNamespace(
    __name__='lvt_dense.checkpoints.read',
    Unpickler=_Unpickler,
    UnpicklingError=pickle.UnpicklingError,
    load=lambda file, **kwargs: _Unpickler(file, **kwargs).load(),
)
