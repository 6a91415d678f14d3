"""Dense heads that MMDetection lacks."""

from .rpn_head import NormRPNHead
from .ssdlite_head import MobileViTSSDHead, SSDLiteHead

__all__ = ['MobileViTSSDHead', 'NormRPNHead', 'SSDLiteHead']
