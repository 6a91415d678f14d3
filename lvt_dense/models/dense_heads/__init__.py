"""Dense heads that MMDetection lacks."""

from .rpn_head import NormRPNHead
from .ssdlite_head import MobileViTSSDHead, PISASSDHead, SSDLiteHead

__all__ = ['MobileViTSSDHead', 'NormRPNHead', 'PISASSDHead', 'SSDLiteHead']
