"""Backbones and operators on a GPU, in single and mixed precision.

``make test-gpu`` runs them; all other tests run on the CPU.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest
import torch
from helpers.backbones import SMALL, difference, images, spread
from helpers.gradients import with_gradients
from mmcv import ops
from mmseg.structures import SegDataSample
from torch import Tensor

from lvt_dense import build_backbone, list_backbones
from lvt_dense.deploy import exported_model
from lvt_dense.models.backbones import PyramidBackbone

pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='needs a GPU'
)

# Of a level's deviation. Digits are lost in every layer, at most 0.013 and
# 0.067 on a CPU; an overflow or a layer in the wrong precision loses far more.
HALF = {torch.float16: 0.05, torch.bfloat16: 0.25}


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """Compute float32 as such, not in TF32."""
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, matmul.allow_tf32
    cudnn.allow_tf32 = matmul.allow_tf32 = False
    yield
    cudnn.allow_tf32, matmul.allow_tf32 = before


@pytest.fixture(scope='module', params=list_backbones())
def backbone(request: pytest.FixtureRequest) -> PyramidBackbone:
    return spread(build_backbone(request.param)).eval()


def test_same_as_on_the_cpu(backbone: PyramidBackbone) -> None:
    x = images(*SMALL, batch=2)
    with torch.inference_mode():
        expected = backbone.cpu()(x)
    backbone.cuda()  # not above: such weights would take no gradients
    with torch.inference_mode():
        found = backbone(x.cuda())
    assert difference([level.cpu() for level in found], expected) < 1e-3


@pytest.mark.parametrize('dtype', HALF)
def test_mixed_precision(
    backbone: PyramidBackbone, dtype: torch.dtype
) -> None:
    x = images(*SMALL, batch=2).cuda()
    backbone.cuda()
    with torch.inference_mode():
        expected = backbone(x)
        with torch.autocast('cuda', dtype):
            found = backbone(x)
    assert (
        difference([level.float() for level in found], expected)
        < (HALF[dtype])
    )


@pytest.mark.parametrize('dtype', HALF)
def test_gradients_in_mixed_precision(
    backbone: PyramidBackbone, dtype: torch.dtype
) -> None:
    backbone.cuda().train()
    with torch.autocast('cuda', dtype):
        levels = backbone(images(*SMALL, batch=2).cuda())
    sum(level.float().square().mean() for level in levels).backward()
    grads = [p.grad for p in backbone.parameters() if p.grad is not None]
    backbone.zero_grad(set_to_none=True)
    backbone.eval()
    assert len(grads) > 0.9 * len(list(backbone.parameters()))
    assert all(grad.isfinite().all() for grad in grads)
    assert sum(bool(grad.any()) for grad in grads) > 0.9 * len(grads)


# ---------------------------------------------------------------- operators
TOLERANCE = 1e-4


def device_gap(
    function: Callable[[list[Tensor]], Sequence[Tensor]], tensors: list[Tensor]
) -> float:
    """Return how far CPU and GPU are apart, relative to 1 + the value."""
    found = function([t.clone().cuda() for t in tensors])
    expected = function(tensors)
    assert [(t.shape, t.dtype) for t in found] == [
        (t.shape, t.dtype) for t in expected
    ]
    gaps = [
        ((ours.cpu() - theirs).abs() / (1 + theirs.abs())).max()
        for ours, theirs in zip(found, expected)
    ]
    return float(torch.stack(gaps).max().detach())  # NaN if one is


def make_boxes(count: int) -> Tensor:
    corner = torch.rand(count, 2) * 100
    return torch.cat([corner, corner + 40 * torch.rand(count, 2) + 2], 1)


@pytest.mark.parametrize('kind', ['nms', 'soft_nms'])
def test_batched_nms(kind: str) -> None:
    torch.manual_seed(0)
    boxes, scores = make_boxes(300), torch.rand(300)
    labels = torch.randint(3, (300,))
    cfg = dict(type=kind, iou_threshold=0.5)
    gap = device_gap(
        lambda given: ops.batched_nms(*given, cfg), [boxes, scores, labels]
    )
    assert gap <= TOLERANCE


def test_nms_rotated() -> None:
    torch.manual_seed(0)
    boxes = torch.cat([make_boxes(60) % 50 + 4, torch.rand(60, 1)], 1)
    gap = device_gap(
        lambda given: ops.nms_rotated(*given, 0.3), [boxes, torch.rand(60)]
    )
    assert gap <= TOLERANCE


def test_roi_align() -> None:
    torch.manual_seed(0)
    maps = torch.randn(2, 3, 13, 17)
    rois = torch.cat([torch.randint(2, (9, 1)), make_boxes(9)], 1)

    def pool(given: list[Tensor]) -> list:
        maps, rois = given
        settings = (7, 7), 0.125, 0, 'avg', True
        return with_gradients(ops.roi_align, [maps], rois, *settings)

    assert device_gap(pool, [maps, rois]) <= TOLERANCE


def test_modulated_deform_conv() -> None:
    torch.manual_seed(0)
    tensors = [
        torch.randn(2, 4, 9, 7),
        torch.randn(2, 18, 9, 7),
        torch.rand(2, 9, 9, 7),
        torch.randn(6, 4, 3, 3),
        torch.randn(6),
    ]
    gap = device_gap(
        lambda given: with_gradients(ops.modulated_deform_conv2d, given, 1, 1),
        tensors,
    )
    assert gap <= TOLERANCE


@pytest.mark.parametrize('name', ['sigmoid_focal_loss', 'softmax_focal_loss'])
def test_focal_loss(name: str) -> None:
    torch.manual_seed(0)
    loss, logits = getattr(ops, name), torch.randn(20, 5)
    labels = torch.randint(5, (20,))
    settings = 2.0, 0.25, None, 'sum'
    gap = device_gap(
        lambda given: with_gradients(loss, given[:1], given[1], *settings),
        [logits, labels],
    )
    assert gap <= TOLERANCE


# ----------------------------------------------------------------- deployment
class OneClass:
    """Stand in for a predictor: all pixels are of class 0."""

    info = dict(
        task='semantic', color='bgr', size=None, divisor=32, inputs=['image']
    )

    def __init__(self, path: str) -> None:
        self.path = path

    def run(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert feed['image'].shape == (1, 64, 96, 3)
        return dict(labels=np.zeros((1, 64, 96), np.int32))


def test_exported_models_take_images_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exported_model, 'Predictor', OneClass)
    model = exported_model.ExportedModel('model.onnx').cuda()
    sample = SegDataSample(metainfo=dict(ori_shape=(50, 90)))
    image = torch.zeros(3, 50, 90, dtype=torch.uint8)
    (found,) = model.test_step(dict(inputs=[image], data_samples=[sample]))
    assert found.pred_sem_seg.data.shape == (1, 50, 90)
