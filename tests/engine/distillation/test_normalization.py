"""The teacher sees the student's images in its own normalization."""

from typing import Any

import pytest
import torch
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.model import BaseDataPreprocessor
from mmseg.models import SegDataPreProcessor
from mmseg.structures import SegDataSample

from lvt_dense.engine.distillation.normalization import (
    ImageNorm,
    content_mask,
    renormalize,
    to_pixels,
)

IMAGENET: dict[str, Any] = dict(
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
)
UNIT: dict[str, Any] = dict(mean=[0.0] * 3, std=[255.0] * 3)
SHAPES = [(40, 50), (33, 64)]


def images() -> list[torch.Tensor]:
    numbers = torch.Generator().manual_seed(0)
    return [
        torch.randint(256, (3, *s), generator=numbers).to(torch.uint8)
        for s in SHAPES
    ]


def prepared(preprocessor: Any, kind: type) -> torch.Tensor:
    samples = [kind(metainfo=dict(img_shape=s)) for s in SHAPES]
    data = dict(inputs=images(), data_samples=samples)
    return preprocessor(data, training=True)['inputs']


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        (dict(UNIT), dict(IMAGENET, pad_value=3)),
        (dict(IMAGENET, pad_value=1), dict(UNIT)),
        (dict(), dict(IMAGENET)),  # without any normalization
        (dict(IMAGENET), dict(UNIT, pad_value=114)),
    ],
)
def test_detectors_padded_batches_included(first: Any, second: Any) -> None:
    ours, theirs = (
        DetDataPreprocessor(**cfg, pad_size_divisor=32)
        for cfg in (first, second)
    )
    given, wanted = (prepared(p, DetDataSample) for p in (ours, theirs))
    assert given.shape[-2:] == (64, 64)
    norms = ImageNorm.of(ours), ImageNorm.of(theirs)
    found = renormalize(given.float(), *norms, SHAPES)
    assert torch.allclose(found, wanted.float(), atol=2e-4)


def test_segmenters() -> None:
    ours, theirs = (
        SegDataPreProcessor(**cfg, size=(64, 64)) for cfg in (UNIT, IMAGENET)
    )
    samples = []
    for shape in SHAPES:
        sample = SegDataSample(metainfo=dict(img_shape=shape))
        samples.append(sample)
    both = [
        p(dict(inputs=images(), data_samples=[s.clone() for s in samples]),
          training=True)['inputs']
        for p in (ours, theirs)
    ]  # fmt: skip
    found = renormalize(
        both[0], ImageNorm.of(ours), ImageNorm.of(theirs), SHAPES
    )
    assert torch.allclose(found, both[1], atol=2e-4)


def test_same_normalization_is_left_alone() -> None:
    norm = ImageNorm.from_cfg(IMAGENET)
    x = torch.randn(1, 3, 4, 4)
    assert renormalize(x, norm, norm, [(4, 4)]) is x
    read = ImageNorm.of(DetDataPreprocessor(**IMAGENET))
    assert read.mean == pytest.approx(norm.mean)
    assert read.std == pytest.approx(norm.std)
    assert read.is_flipped and norm.is_flipped


def test_pixels_and_their_order() -> None:
    preprocessor = DetDataPreprocessor(**IMAGENET)
    raw = images()[:1]
    given = preprocessor(dict(inputs=raw))['inputs']
    pixels = to_pixels(given, ImageNorm.of(preprocessor), flips=True)
    assert torch.equal(pixels.round().to(torch.uint8)[0], raw[0])


def test_plain_preprocessor_and_content() -> None:
    assert ImageNorm.of(BaseDataPreprocessor()) == ImageNorm()
    x = torch.zeros(2, 3, 4, 6)
    assert content_mask(x, [(4, 6), (4, 6)]) is None
    inside = content_mask(x, [(4, 6), (2, 3)])
    assert inside is not None and inside.sum((1, 2, 3)).tolist() == [24, 6]
