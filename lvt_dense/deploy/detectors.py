"""Graphs of detectors: from an image to boxes, scores, labels and masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmcv.ops import RoIAlign
from mmdet.models.detectors import SingleStageDetector, TwoStageDetector
from mmdet.models.roi_heads import (
    BBoxHead,
    CascadeRoIHead,
    FCNMaskHead,
    SingleRoIExtractor,
    StandardRoIHead,
)
from torch import Tensor, nn

from lvt_dense.deploy.candidates import (
    Candidates,
    clip,
    flatten_maps,
    image_shape,
    suppress,
)
from lvt_dense.deploy.dense import (
    check_dense_head,
    check_methods,
    check_suppression,
    dense_candidates,
)
from lvt_dense.deploy.greedy import Select, select_by_operator
from lvt_dense.deploy.inputs import ImageInput
from lvt_dense.utils.errors import UserError


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
        self.select: Select = select_by_operator
        head = detector.bbox_head
        if not raw:
            check_methods(detector, SingleStageDetector, ('predict',))
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
            return tuple(flatten_maps(maps))
        shape = image_shape(x, size)
        found = dense_candidates(
            head, maps, shape, x.shape[-2:], head.test_cfg
        )
        found = suppress(found, head.test_cfg, self.select)
        return found.boxes, found.scores, found.labels


class TwoStage(nn.Module):
    """Graph of Faster, Mask or Cascade R-CNN.

    Args:
        detector: Detector of MMDetection with a ``StandardRoIHead`` or a
            ``CascadeRoIHead``.
        image_input: First part of the graph.
        raw: Return the RPN's maps and the pyramid instead of detections.
    """

    def __init__(
        self,
        detector: TwoStageDetector,
        image_input: ImageInput,
        raw: bool = False,
    ) -> None:
        super().__init__()
        self.input = image_input
        self.inputs = image_input.names
        self.detector = detector
        self.raw = raw
        self.select: Select = select_by_operator
        if not raw:
            check_methods(detector, TwoStageDetector, ('predict',))
            check_dense_head(detector.rpn_head)
            check_roi_head(detector.roi_head)
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
        maps = rpn(features)
        if self.raw:
            return tuple(flatten_maps((maps, features)))
        found = dense_candidates(
            rpn, maps, shape, x.shape[-2:], rpn.test_cfg, True
        )
        proposals = suppress(found, rpn.test_cfg, self.select)
        found = self._classify(features, proposals, shape)
        out = (found.boxes, found.scores, found.labels)
        if self.detector.roi_head.with_mask:
            out = (*out, self._masks(features, found))
        return out

    def _classify(
        self, features: Sequence[Tensor], proposals: Candidates, shape: Tensor
    ) -> Candidates:
        cfg = self.detector.roi_head.test_cfg
        batch, count = proposals.scores.shape
        rois, logits, deltas = self._refine(features, proposals, shape)
        head = stages_of(self.detector.roi_head)[-1].head
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
        return suppress(found, cfg, self.select)

    def _refine(
        self, features: Sequence[Tensor], proposals: Candidates, shape: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Run the stages, each on the boxes of the one before.

        Returns:
            Regions of the last stage (N * K, 5), logits averaged over the
            stages, and the last stage's deltas.
        """
        roi_head = self.detector.roi_head
        batch = len(shape)
        rois = with_image_index(proposals.boxes)
        total: Tensor | float = 0.0
        *stages, last = stages_of(roi_head)
        for stage in stages:
            logits, deltas = stage.head(
                pool_by_extractor(stage.extractor, features, rois)
            )
            total = total + logits
            boxes = stage.head.regress_by_class(
                rois[:, 1:],
                logits[:, :-1].argmax(1),
                deltas,
                dict(img_shape=None),
            )
            rois = with_image_index(clip(boxes.view(batch, -1, 4), shape))
        pooled = pool_by_extractor(last.extractor, features, rois)
        if roi_head.with_shared_head:
            pooled = roi_head.shared_head(pooled)
        logits, deltas = last.head(pooled)
        return rois, (total + logits) / (len(stages) + 1), deltas

    def _masks(self, features: Sequence[Tensor], found: Candidates) -> Tensor:
        roi_head = self.detector.roi_head
        batch, count = found.scores.shape
        rois = with_image_index(found.boxes)
        stages = stages_of(roi_head, masks=True)
        total: Tensor | float = 0.0
        for stage in stages:
            pooled = pool_by_extractor(stage.extractor, features, rois)
            if roi_head.with_shared_head:
                pooled = roi_head.shared_head(pooled)
            logits = stage.head(pooled)
            if not stage.head.class_agnostic:
                side = logits.shape[-1]
                index = found.labels.reshape(-1, 1, 1, 1)
                logits = logits.gather(1, index.expand(-1, 1, side, side))
            total = total + logits.sigmoid()
        masks = total / len(stages)
        return masks.view(batch, count, *masks.shape[-2:])


@dataclass
class Stage:
    """A head, and what pools the regions that it sees."""

    head: nn.Module
    extractor: nn.Module


def stages_of(roi_head: nn.Module, masks: bool = False) -> list[Stage]:
    """Return the box stages of a RoI head, or its mask stages."""
    name = 'mask' if masks else 'bbox'
    head = getattr(roi_head, f'{name}_head')
    extractor = getattr(roi_head, f'{name}_roi_extractor')
    if isinstance(roi_head, CascadeRoIHead):
        return [Stage(*pair) for pair in zip(head, extractor)]
    return [Stage(head, extractor)]


def check_roi_head(roi_head: nn.Module) -> None:
    """Check that the second stage's prediction is the usual one.

    Raises:
        UserError: One of its parts decodes or pools in a way of its own.
    """
    methods = ['predict', 'predict_bbox', '_bbox_forward']
    if roi_head.with_mask:
        methods += ['predict_mask', '_mask_forward']
    base: type = StandardRoIHead
    if isinstance(roi_head, CascadeRoIHead):
        base = CascadeRoIHead
        methods += ['_refine_roi']
    check_methods(roi_head, base, methods)
    check_suppression(roi_head, roi_head.test_cfg)
    decoding = ['predict_by_feat', '_predict_by_feat_single']
    for stage in stages_of(roi_head):
        check_extractor(stage.extractor)
        check_methods(stage.head, BBoxHead, [*decoding, 'regress_by_class'])
        if stage.head.custom_activation:
            raise UserError(
                f'the activation of {type(stage.head.loss_cls).__name__} has '
                'no exported graph; --raw exports the network up to the maps'
            )
    if roi_head.with_mask:
        for stage in stages_of(roi_head, masks=True):
            check_extractor(stage.extractor)
            check_methods(stage.head, FCNMaskHead, decoding)


def check_extractor(extractor: nn.Module) -> None:
    """Check that regions are pooled by an aligned RoIAlign of one level.

    Raises:
        UserError: They are not.
    """
    check_methods(extractor, SingleRoIExtractor, ('forward',))
    for layer in extractor.roi_layers:
        if (
            not isinstance(layer, RoIAlign)
            or not layer.aligned
            or layer.pool_mode != 'avg'
        ):
            raise UserError(
                f'{layer} has no exported graph, only an aligned RoIAlign '
                'with average pooling has one; --raw exports the network up '
                'to the maps'
            )


def with_image_index(boxes: Tensor) -> Tensor:
    """Turn boxes (N, K, 4) into regions (N * K, 5)."""
    batch, count = boxes.shape[:2]
    index = torch.arange(batch, dtype=boxes.dtype, device=boxes.device)
    index = index[:, None, None].expand(batch, count, 1)
    return torch.cat((index, boxes), -1).flatten(0, 1)


def pool_by_extractor(
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
