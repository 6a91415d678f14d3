"""Models: backbones, necks, heads and detectors."""

from importlib.util import find_spec

from . import backbones, necks  # noqa: F401

# Backbones and necks do without MMDetection, for segmentation alone.
if find_spec('mmdet'):
    from . import dense_heads, mono3d  # noqa: F401
if find_spec('mmseg'):
    from . import decode_heads  # noqa: F401
