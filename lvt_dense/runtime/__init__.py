"""Prediction without PyTorch and OpenMMLab.

Needs numpy and Pillow, and the runtime of the model's format, such as
onnxruntime; for videos also OpenCV. It imports nothing of the rest of the
package, which it leaves as one file: ``lvt-dense export --with-predictor``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .detection import Detection, to_supervision
    from .errors import InputError
    from .images import read_camera, to_array
    from .masks import paste_mask
    from .pipeline import Options, Summary, predict_source
    from .predictor import Predictor
    from .sessions import Session
    from .sources import list_images, open_source, read_frames
    from .tiles import Tiling

_PUBLIC = {
    'Detection': 'detection',
    'InputError': 'errors',
    'Options': 'pipeline',
    'Predictor': 'predictor',
    'Session': 'sessions',
    'Summary': 'pipeline',
    'Tiling': 'tiles',
    'list_images': 'sources',
    'open_source': 'sources',
    'paste_mask': 'masks',
    'predict_source': 'pipeline',
    'read_camera': 'images',
    'read_frames': 'sources',
    'to_array': 'images',
    'to_supervision': 'detection',
}
__all__ = [
    'Detection',
    'InputError',
    'Options',
    'Predictor',
    'Session',
    'Summary',
    'Tiling',
    'list_images',
    'open_source',
    'paste_mask',
    'predict_source',
    'read_camera',
    'read_frames',
    'to_array',
    'to_supervision',
]


def __getattr__(name: str) -> object:
    # Lazy, so that the command prints its help without numpy.
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute '{name}'")
    return getattr(import_module(f'.{_PUBLIC[name]}', __name__), name)
