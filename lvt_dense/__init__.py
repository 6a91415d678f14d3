"""Light vision transformers as pyramids for dense prediction in OpenMMLab."""

from lvt_dense.compat import old_paths as _old_paths
from lvt_dense.compat import startup as _startup

__version__ = '0.1.0'
_PUBLIC = {
    'build_backbone': 'lvt_dense.models.backbones',
    'list_backbones': 'lvt_dense.models.backbones',
    'load': 'lvt_dense.apis.load',
    'swap_backbone': 'lvt_dense.swap',
    'use_data': 'lvt_dense.datasets.own',
}
__all__ = ['__version__', *_PUBLIC]

_old_paths.install_old_paths()
_startup.install_hooks()


def __getattr__(name: str) -> object:
    # Lazy: mmengine imports this module when it looks up the scope, and an
    # import error in a backbone must not be swallowed there; and the command
    # line prints its help without loading torch.
    from importlib import import_module

    if name not in _PUBLIC:
        raise AttributeError(f"module 'lvt_dense' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
