"""Light vision transformers as pyramids for dense prediction in OpenMMLab."""

from importlib import import_module
from typing import Any

from mmengine.config.utils import MODULE2PACKAGE

from lvt_dense._names import allow_flat_names

__version__ = '0.1.0'

# MMEngine resolves 'package::config.py' through this table. Both entries name
# the import, because the distribution may be onedl-* or the original.
MODULE2PACKAGE['mmseg'] = 'mmseg'
MODULE2PACKAGE['lvt_dense'] = 'lvt_dense'
allow_flat_names()

_PUBLIC = {
    'build_backbone': 'lvt_dense.models.backbones',
    'list_backbones': 'lvt_dense.models.backbones',
    'swap_backbone': 'lvt_dense.swap',
}
__all__ = ['__version__', *_PUBLIC]


def __getattr__(name: str) -> Any:
    # Lazy: mmengine imports this module when it looks up the scope, and an
    # import error in a backbone must not be swallowed there.
    if name not in _PUBLIC:
        raise AttributeError(f"module 'lvt_dense' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)
