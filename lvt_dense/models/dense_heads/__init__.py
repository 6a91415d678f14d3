"""Dense heads that MMDetection lacks."""

from .retina_head import RetinaHead
from .rpn_head import NormRPNHead
from .ssdlite_head import MobileViTSSDHead, PISASSDHead, SSDLiteHead

__all__ = [
    'MobileViTSSDHead',
    'NormRPNHead',
    'PISASSDHead',
    'RetinaHead',
    'SSDLiteHead',
]
