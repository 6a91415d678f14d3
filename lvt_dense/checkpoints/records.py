"""The record of a published weight file."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlparse

# Images as the networks take them, in the terms of the data preprocessors of
# MMDetection and MMSegmentation. OpenCV, which reads them, gives BGR.
IMAGENET_NORM: Mapping[str, Any] = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)
UNIT_BGR: Mapping[str, Any] = dict(
    mean=[0.0, 0.0, 0.0], std=[255.0, 255.0, 255.0], bgr_to_rgb=False
)
UNIT_RGB: Mapping[str, Any] = dict(UNIT_BGR, bgr_to_rgb=True)


@dataclass(frozen=True, kw_only=True)
class WeightFile:
    """A file of weights that someone has published.

    Attributes:
        name: Unique name, under which it is asked for and cached.
        url: Where it is downloaded from.
        layout: Name of the :class:`Layout` of its keys.
        source: Who trained it and states its results.
        license: License of the weights, as the source states it; None if it
            states none.
        top1: Top-1 accuracy on ImageNet's validation set in percent, as
            published.
        metrics: Other published results, by name.
        size: Bytes, where they are known.
        sha256: First digits of the SHA-256 sum, where they are known.
        page: Where a person gets the file, if the URL is not that place.
        input_norm: Mean, standard deviation and channel order of the images.
        dataset: Data set of a whole model, by which the names of its classes
            are known: ``coco``, ``voc`` or ``ade20k``.
    """

    name: str
    url: str
    layout: str
    source: str
    license: str | None = None
    top1: float | None = None
    metrics: Mapping[str, float] | None = None
    size: int | None = None
    sha256: str | None = None
    page: str | None = None
    input_norm: Mapping[str, Any] | None = None
    dataset: str | None = None

    @property
    def recipe(self) -> str:
        """Name of the config of a whole model."""
        return self.name.partition('.')[0]

    @property
    def file_name(self) -> str:
        """Name in the cache, and in the folder of a mirror."""
        return self.name + suffix_of(self.url)

    def describe_result(self) -> str:
        """Return the published result, such as ``top-1 78.3``, or ``-``."""
        results = dict(self.metrics or {})
        if self.top1 is not None:
            results['top-1'] = self.top1
        return ', '.join(f'{k} {v:g}' for k, v in results.items()) or '-'


def suffix_of(url: str) -> str:
    """Return the suffix of a weight file, such as ``.pth`` or ``.pth.tar``."""
    path = PurePosixPath(unquote(urlparse(url).path))
    known = ('.tar', '.pth', '.pt', '.bin', '.ckpt', '.safetensors')
    suffixes: list[str] = []
    for suffix in reversed(path.suffixes):
        if suffix not in known:
            break
        suffixes.insert(0, suffix)
    return ''.join(suffixes) or '.pth'


def describe_input_norm(norm: Mapping[str, Any]) -> str:
    """Write channel order, mean and std of images on one line."""
    order = 'RGB' if norm['bgr_to_rgb'] else 'BGR'
    mean, std = (
        ' '.join(f'{number:g}' for number in norm[key])
        for key in ('mean', 'std')
    )
    return f'{order}, mean {mean}, std {std}'
