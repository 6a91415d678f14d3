"""Imports, and thereby registers, every model whose framework is there.

``lvt_dense.models`` itself imports nothing, so that the backbones can be had
without MMDetection and MMSegmentation.
"""

from importlib.util import find_spec

from . import backbones, necks  # noqa: F401

if find_spec('mmdet'):
    from . import dense_heads, mono3d  # noqa: F401
if find_spec('mmseg'):
    from . import decode_heads, losses  # noqa: F401
