"""Models: backbones, necks, heads and detectors."""

from . import backbones  # noqa: F401
