"""MMSegmentation's data preprocessor for images of any number of bands."""

from mmseg.models import SegDataPreProcessor

from lvt_dense.registry import MODELS

from .bands import AnyBands


@MODELS.register_module()
class SegBandsPreprocessor(AnyBands, SegDataPreProcessor):
    """Normalize and pad images of any number of bands."""
