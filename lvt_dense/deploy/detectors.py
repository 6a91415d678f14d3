"""Graphs of detectors: from an image to boxes, scores, labels and masks."""

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import RPNHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from torch import Tensor, nn

from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.errors import UserError
from lvt_dense.models.dense_heads import SSDLiteHead

# Import registers the operators.
from . import operators  # noqa: F401


class Candidates:
    """Boxes that compete with each other.

    Attributes:
        boxes: xyxy in pixels, (N, K, 4).
        scores: (N, K); 0 or less where there is no box.
        labels: (N, K) int64.
    """

    def __init__(self, boxes: Tensor, scores: Tensor, labels: Tensor) -> None:
        self.boxes, self.scores, self.labels = boxes, scores, labels

    def suppress(self, iou_threshold: float, count: int) -> 'Candidates':
        """Keep the best boxes of each label.

        Args:
            iou_threshold: Larger overlaps with a better box of the same
                label suppress a box.
            count: Boxes to return; where fewer are left, their scores are 0.
        """
        # Far apart, labels do not suppress each other.
        far = self.boxes.flatten(1).amax(1) + 1
        offset = self.labels * far[:, None]
        keep = torch.ops.lvt_dense.nms_mask(
            self.boxes + offset[..., None], self.scores, iou_threshold
        )
        return self.best(count, torch.where(keep, self.scores, 0.0))

    def best(self, count: int, scores: Tensor) -> 'Candidates':
        """Return the ``count`` boxes with the highest of other scores."""
        count = min(count, scores.shape[1])
        top, index = scores.topk(count)
        index_4 = index[..., None].expand(-1, -1, 4)
        return Candidates(
            self.boxes.gather(1, index_4), top, self.labels.gather(1, index)
        )


class OneStage(nn.Module):
    """Graph of a single-stage detector with a dense head.

    Args:
        detector: Detector of MMDetection.
        image_input: First part of the graph.
        raw: Return the head's maps instead of detections.
    """

    outputs: tuple[str, ...] = ('boxes', 'scores', 'labels')

    def __init__(
        self,
        detector: SingleStageDetector,
        image_input: ImageInput,
        raw: bool = False,
    ) -> None:
        super().__init__()
        self.input = image_input
        self.inputs = image_input.names
        self.detector = detector
        self.raw = raw
        head = detector.bbox_head
        if not raw:
            check_dense_head(head)

    def forward(
        self, image: Tensor, size: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Detect objects.

        Args:
            image: Images, (N, H, W, 3) uint8.
            size: Height and width of the content, (N, 2), see
                :class:`~lvt_dense.deploy.inputs.ImageInput`.

        Returns:
            Boxes (N, D, 4) as xyxy in pixels of the image, by falling score;
            scores (N, D), 0 where there is no box; labels (N, D) int64.
        """
        x = self.input(image, size)
        head = self.detector.bbox_head
        maps = head(self.detector.extract_feat(x))
        if self.raw:
            return tuple(m for level in maps for m in level)
        shape = image_shape(x, size)
        found = dense_candidates(
            head, maps, shape, x.shape[-2:], head.test_cfg
        )
        found = suppress(found, head.test_cfg)
        return found.boxes, found.scores, found.labels


class TwoStage(nn.Module):
    """Graph of Faster R-CNN or Mask R-CNN.

    Args:
        detector: Detector of MMDetection with a ``StandardRoIHead``.
        image_input: First part of the graph.
    """

    def __init__(
        self, detector: TwoStageDetector, image_input: ImageInput
    ) -> None:
        super().__init__()
        self.input = image_input
        self.inputs = image_input.names
        self.detector = detector
        check_dense_head(detector.rpn_head)
        self.outputs = OneStage.outputs + (
            ('masks',) if detector.roi_head.with_mask else ()
        )

    def forward(
        self, image: Tensor, size: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        """Detect objects.

        Args:
            image: Images, (N, H, W, 3) uint8.
            size: Height and width of the content, (N, 2).

        Returns:
            Boxes, scores and labels as in :class:`OneStage`; with a mask
            head also masks, (N, D, S, S), the probability of the object in
            each of S x S cells of its box.
        """
        x = self.input(image, size)
        shape = image_shape(x, size)
        features = self.detector.extract_feat(x)
        rpn = self.detector.rpn_head
        found = dense_candidates(
            rpn, rpn(features), shape, x.shape[-2:], rpn.test_cfg, True
        )
        proposals = suppress(found, rpn.test_cfg)
        found = self._classify(features, proposals, shape)
        out = (found.boxes, found.scores, found.labels)
        if self.detector.roi_head.with_mask:
            out = (*out, self._masks(features, found))
        return out

    def _classify(
        self, features: Sequence[Tensor], proposals: Candidates, shape: Tensor
    ) -> Candidates:
        roi_head = self.detector.roi_head
        head, cfg = roi_head.bbox_head, roi_head.test_cfg
        batch, count = proposals.scores.shape
        rois = with_image_index(proposals.boxes)
        pooled = pool(roi_head.bbox_roi_extractor, features, rois)
        if roi_head.with_shared_head:
            pooled = roi_head.shared_head(pooled)
        logits, deltas = head(pooled)
        scores = logits.softmax(-1)[:, :-1]
        classes = scores.shape[1]
        if head.reg_class_agnostic:
            deltas = deltas.repeat(1, classes)
        boxes = head.bbox_coder.decode(
            rois[:, 1:].repeat_interleave(classes, 0), deltas.reshape(-1, 4)
        )
        boxes = clip(boxes.view(batch, count * classes, 4), shape)
        boxes = boxes.view(batch, count, classes, 4)
        scores = scores.view(batch, count, classes)
        is_proposal = proposals.scores[..., None] > 0
        scores = torch.where(
            (scores > cfg.score_thr) & is_proposal, scores, 0.0
        )
        # Probabilities sum up to 1, so no more can exceed the threshold.
        most = min(classes, max(int(1 / max(cfg.score_thr, 1e-3)), 1))
        scores, labels = scores.topk(most, dim=-1)
        boxes = boxes.gather(2, labels[..., None].expand(-1, -1, -1, 4))
        found = Candidates(
            boxes.flatten(1, 2), scores.flatten(1), labels.flatten(1)
        )
        return suppress(found, cfg)

    def _masks(self, features: Sequence[Tensor], found: Candidates) -> Tensor:
        roi_head = self.detector.roi_head
        head = roi_head.mask_head
        batch, count = found.scores.shape
        rois = with_image_index(found.boxes)
        pooled = pool(roi_head.mask_roi_extractor, features, rois)
        logits = head(pooled)
        if not head.class_agnostic:
            side = logits.shape[-1]
            index = found.labels.reshape(-1, 1, 1, 1)
            logits = logits.gather(1, index.expand(-1, 1, side, side))
        return logits.sigmoid().view(batch, count, *logits.shape[-2:])


def check_dense_head(head: nn.Module) -> None:
    """Check that a head's prediction is the usual one.

    Raises:
        UserError: The head decodes in a way of its own.
    """
    kind = type(head)
    own = {
        name
        for name in ('_predict_by_feat_single', '_bbox_post_process')
        if getattr(kind, name, None) is not getattr(BaseDenseHead, name)
    }
    usual = kind.predict_by_feat is BaseDenseHead.predict_by_feat
    inherited = (
        isinstance(head, RPNHead)
        or (usual and not own)
        or (isinstance(head, SSDLiteHead) and not own)
    )
    nms = (head.test_cfg or {}).get('nms') or {}
    if not inherited or nms.get('type') != 'nms':
        raise UserError(
            f'{kind.__name__} decodes its maps in a way that has no exported '
            'graph; --raw exports the network up to the maps'
        )


def dense_candidates(
    head: BaseDenseHead,
    maps: Sequence,
    shape: Tensor,
    input_shape: Sequence[int],
    cfg: dict,
    label_levels: bool = False,
) -> Candidates:
    """Decode the best cells of every level of a dense head.

    Args:
        head: The head.
        maps: What its ``forward`` returns: scores, boxes, and perhaps score
            factors, a list of levels each.
        shape: Height and width of each image, (N, 2).
        input_shape: Height and width of the network's input.
        cfg: ``nms_pre``, ``score_thr`` and ``min_bbox_size``.
        label_levels: Label the boxes with their level, as the RPN does.
    """
    scores_of, boxes_of, *factors = maps
    factors_of = factors[0] if factors else [None] * len(scores_of)
    sizes = [level.shape[-2:] for level in scores_of]
    if hasattr(head.prior_generator, 'input_shape'):
        head.prior_generator.input_shape = tuple(map(int, input_shape))
    priors = head.prior_generator.grid_priors(
        sizes, dtype=scores_of[0].dtype, device=scores_of[0].device
    )
    parts = []
    for level, levels in enumerate(
        zip(scores_of, boxes_of, factors_of, priors)
    ):
        part = _level_candidates(head, *levels, cfg)
        if label_levels:
            part.labels = torch.full_like(part.labels, level)
        parts.append(part)
    found = Candidates(
        clip(torch.cat([p.boxes for p in parts], 1), shape),
        torch.cat([p.scores for p in parts], 1),
        torch.cat([p.labels for p in parts], 1),
    )
    least = cfg.get('min_bbox_size', -1)
    if least >= 0:
        width, height = (found.boxes[..., 2:] - found.boxes[..., :2]).unbind(
            -1
        )
        found.scores = torch.where(
            (width > least) & (height > least), found.scores, 0.0
        )
    return found


def _level_candidates(
    head: BaseDenseHead,
    scores: Tensor,
    boxes: Tensor,
    factor: Tensor | None,
    priors: Tensor,
    cfg: dict,
) -> Candidates:
    batch = scores.shape[0]
    scores = scores.permute(0, 2, 3, 1).reshape(
        batch, -1, head.cls_out_channels
    )
    if head.use_sigmoid_cls:
        scores = scores.sigmoid()
    else:
        scores = scores.softmax(-1)[..., :-1]
    classes = scores.shape[-1]
    flat = scores.flatten(1)
    flat = torch.where(flat > cfg.get('score_thr', 0), flat, 0.0)
    count, limit = flat.shape[1], cfg.get('nms_pre', -1)
    top, index = flat.topk(min(limit, count) if limit > 0 else count)
    cell = index // classes
    dim = head.bbox_coder.encode_size
    boxes = boxes.permute(0, 2, 3, 1).reshape(batch, -1, dim)
    boxes = boxes.gather(1, cell[..., None].expand(-1, -1, dim))
    if factor is not None:
        factor = factor.permute(0, 2, 3, 1).reshape(batch, -1).sigmoid()
        top = top * factor.gather(1, cell)
    decoded = head.bbox_coder.decode(
        priors[cell].flatten(0, 1), boxes.flatten(0, 1)
    )
    return Candidates(decoded.view(batch, -1, 4), top, index - cell * classes)


def suppress(found: Candidates, cfg: dict) -> Candidates:
    """Apply the suppression that a ``test_cfg`` describes."""
    return found.suppress(cfg['nms']['iou_threshold'], cfg['max_per_img'])


def image_shape(x: Tensor, size: Tensor | None) -> Tensor:
    """Return height and width of the content of each image, (N, 2)."""
    if size is not None:
        return size.to(x.dtype)
    whole = torch.tensor([x.shape[-2], x.shape[-1]], dtype=x.dtype)
    return whole.expand(x.shape[0], 2)


def clip(boxes: Tensor, shape: Tensor) -> Tensor:
    """Clip boxes (N, K, 4) to images with heights and widths (N, 2)."""
    limit = shape.flip(-1).repeat(1, 2)[:, None]
    return torch.minimum(boxes.clamp(min=0), limit)


def with_image_index(boxes: Tensor) -> Tensor:
    """Turn boxes (N, K, 4) into regions (N * K, 5)."""
    batch, count = boxes.shape[:2]
    index = torch.arange(batch, dtype=boxes.dtype, device=boxes.device)
    index = index[:, None, None].expand(batch, count, 1)
    return torch.cat((index, boxes), -1).flatten(0, 1)


def pool(
    extractor: nn.Module, features: Sequence[Tensor], rois: Tensor
) -> Tensor:
    """Pool regions (R, 5) as a ``SingleRoIExtractor`` does."""
    features = list(features[: len(extractor.featmap_strides)])
    layer = extractor.roi_layers[0]
    return torch.ops.lvt_dense.pyramid_roi_align(
        features,
        rois,
        extractor.map_roi_levels(rois, len(features)),
        layer.output_size[0],
        [layer.spatial_scale for layer in extractor.roi_layers],
        layer.sampling_ratio,
    )
