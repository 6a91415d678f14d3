"""MMDetection's data preprocessor for images of any number of bands."""

from mmdet.models import DetDataPreprocessor

from lvt_dense.registry import MODELS

from .bands import AnyBands


@MODELS.register_module()
class DetBandsPreprocessor(AnyBands, DetDataPreprocessor):
    """Normalize and pad images of any number of bands."""
