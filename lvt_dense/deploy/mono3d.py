"""Graphs of monocular 3D detectors: from image and camera to 3D boxes."""

from typing import Any

import torch
from torch import Tensor, nn

from lvt_dense.models.mono3d import FCOS3DHead, Mono3DDetector, MonoConHead
from lvt_dense.models.mono3d.monocon_coder import decode_maps
from lvt_dense.structures import boxes_to_bev

from .candidates import clip, flatten_maps, image_shape
from .inputs import ImageInput
from .rotated import pairwise_overlaps

# Boxes of different classes are moved this far apart, in meters.
_FAR = 1000.0


class Mono3D(nn.Module):
    """Graph of a monocular 3D detector.

    Args:
        detector: Detector with a MonoCon or FCOS3D head.
        image_input: First part of the graph.
        raw: Return the head's maps instead of detections; there is no
            camera then.
    """

    outputs: tuple[str, ...] = ('boxes_3d', 'scores', 'labels', 'boxes')

    def __init__(
        self,
        detector: Mono3DDetector,
        image_input: ImageInput,
        raw: bool = False,
    ) -> None:
        super().__init__()
        self.input = image_input
        self.inputs = ('image', 'size', *(() if raw else ('camera',)))
        self.detector = detector
        self.raw = raw

    def forward(
        self, image: Tensor, size: Tensor, camera: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Detect objects.

        Args:
            image: Images, (N, H, W, 3) uint8.
            size: Height and width of the content, (N, 2) int64.
            camera: Projection matrices of these images, (N, 4, 4), which
                the maps do not need.

        Returns:
            By falling score: 3D boxes (N, D, 7), see
            :mod:`lvt_dense.structures.boxes_3d`; scores (N, D), 0 where
            there is no box; labels (N, D) int64; 2D boxes (N, D, 4) as xyxy
            in pixels of the image. Or the head's maps.
        """
        x = self.input(image, size)
        maps = self.detector.bbox_head(self.detector.extract_feat(x))
        if self.raw or camera is None:
            return tuple(flatten_maps(maps))
        return self._decode(maps, camera, image_shape(x, size))

    def _decode(
        self, maps: Any, camera: Tensor, shape: Tensor
    ) -> tuple[Tensor, ...]:
        head = self.detector.bbox_head
        if isinstance(head, MonoConHead):
            found = self._monocon(head, maps, camera)
        else:
            found = self._fcos3d(head, maps, camera)
        return (*found[:3], clip(found[3], shape - 1))

    def _monocon(
        self, head: MonoConHead, maps: dict[str, Tensor], camera: Tensor
    ) -> tuple[Tensor, ...]:
        topk = head.test_cfg.get('topk', 30)
        found = decode_maps(maps, camera, head.stride, topk)
        scores = found['scores_3d']
        threshold = head.test_cfg.get('score_thr', 0.05)
        scores = torch.where(scores >= threshold, scores, 0.0)
        return _sort(
            scores,
            found['bboxes_3d'],
            found['labels_3d'],
            found['bboxes'],
            topk,
        )

    def _fcos3d(
        self, head: FCOS3DHead, maps: list[dict[str, Tensor]], camera: Tensor
    ) -> tuple[Tensor, ...]:
        found = head.decode_candidates(maps, camera)
        scores = found['scores_3d']
        scores, order = scores.topk(scores.shape[1])
        boxes = _take(found['bboxes_3d'], order)
        labels = found['labels_3d'].gather(1, order)
        bev = boxes_to_bev(boxes)
        shift = torch.zeros_like(bev)
        shift[..., 0] = labels * _FAR
        overlaps = pairwise_overlaps(bev + shift)
        excluded = overlaps > head.test_cfg.get('nms_thr', 0.05)
        valid = scores > 0
        excluded &= valid[:, :, None] & valid[:, None, :]
        keep = torch.ops.lvt_dense.greedy_mask(excluded.to(scores.dtype))
        scores = torch.where(keep, scores, 0.0)
        boxes_2d = _take(found['bboxes'], order)
        limit = head.test_cfg.get('max_per_img', 20)
        return _sort(scores, boxes, labels, boxes_2d, limit)


def _sort(
    scores: Tensor,
    boxes_3d: Tensor,
    labels: Tensor,
    boxes: Tensor,
    limit: int,
) -> tuple[Tensor, ...]:
    scores, order = scores.topk(min(limit, scores.shape[1]))
    return (
        _take(boxes_3d, order),
        scores,
        labels.gather(1, order),
        _take(boxes, order),
    )


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Take rows of (N, K, C) at (N, D)."""
    return values.gather(1, index[..., None].expand(-1, -1, values.shape[-1]))
