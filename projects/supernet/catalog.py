"""Register what configs of supernets name.

``custom_imports = dict(imports=['supernet.catalog'])`` in a config, and
``PYTHONPATH=projects``.
"""

from . import classification, conflict_meter, loops, model, optim_wrapper

__all__ = [
    'classification',
    'conflict_meter',
    'loops',
    'model',
    'optim_wrapper',
]
