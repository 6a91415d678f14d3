"""Dense heads that MMDetection lacks."""

from .ssdlite_head import MobileViTSSDHead, SSDLiteHead

__all__ = ['MobileViTSSDHead', 'SSDLiteHead']
