"""Decode the maps of dense heads inside an exported graph."""

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import GFLHead, RPNHead, YOLOXHead
from mmdet.models.dense_heads.base_dense_head import BaseDenseHead
from torch import Tensor, nn

from lvt_dense.deploy.candidates import Candidates, clip
from lvt_dense.models.dense_heads import SSDLiteHead
from lvt_dense.utils.errors import UserError

# Heads that decode in ways of their own, which are followed here.
_KNOWN = (RPNHead, GFLHead, YOLOXHead)


def check_methods(
    module: nn.Module, base: type, methods: Sequence[str]
) -> None:
    """Check that a module predicts as its base class does.

    Raises:
        UserError: It overrides one of the methods.
    """
    kind = type(module)
    if any(
        getattr(kind, name, None) is not getattr(base, name)
        for name in methods
    ):
        raise UserError(
            f'{kind.__name__} predicts in a way that has no exported graph; '
            '--raw exports the network up to the maps'
        )


def check_dense_head(head: BaseDenseHead) -> None:
    """Check that a head's prediction is the usual one.

    Raises:
        UserError: The head decodes in a way of its own.
    """
    kinds = (kind for kind in _KNOWN if isinstance(head, kind))
    base = next(kinds, BaseDenseHead)
    check_methods(
        head, base, ('_predict_by_feat_single', '_bbox_post_process')
    )
    if not isinstance(head, SSDLiteHead):
        check_methods(head, base, ('predict', 'predict_by_feat'))
    check_suppression(head, head.test_cfg)


def check_suppression(module: nn.Module, cfg: dict | None) -> None:
    """Check that a ``test_cfg`` asks for plain suppression.

    Raises:
        UserError: It does not.
    """
    kind = ((cfg or {}).get('nms') or {}).get('type')
    if kind != 'nms':
        raise UserError(
            f'{type(module).__name__} suppresses boxes by {kind!r}, and only '
            "'nms' has an exported graph; --raw exports the network up to "
            'the maps'
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
    if isinstance(head, YOLOXHead):
        return _yolox_candidates(head, maps, cfg)
    scores_of, boxes_of, *factors = maps
    factors_of = factors[0] if factors else [None] * len(scores_of)
    sizes = [level.shape[-2:] for level in scores_of]
    if hasattr(head.prior_generator, 'input_shape'):
        head.prior_generator.input_shape = tuple(input_shape)
    priors = head.prior_generator.grid_priors(
        sizes, dtype=scores_of[0].dtype, device=scores_of[0].device
    )
    parts = []
    for level, levels in enumerate(
        zip(scores_of, boxes_of, factors_of, priors)
    ):
        part = _level_candidates(head, level, *levels, cfg)
        if label_levels:
            part.labels = torch.full_like(part.labels, level)
        parts.append(part)
    boxes = torch.cat([p.boxes for p in parts], 1)
    if getattr(head.bbox_coder, 'clip_border', True):
        boxes = clip(boxes, shape)
    found = Candidates(
        boxes,
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
    level: int,
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
    boxes = boxes.permute(0, 2, 3, 1)
    if isinstance(head, GFLHead):
        # Distances are distributions over multiples of the stride.
        stride = head.prior_generator.strides[level][0]
        boxes = head.integral(boxes) * stride
        priors = head.anchor_center(priors)
    boxes = boxes.reshape(batch, -1, dim)
    boxes = boxes.gather(1, cell[..., None].expand(-1, -1, dim))
    if factor is not None:
        factor = factor.permute(0, 2, 3, 1).reshape(batch, -1).sigmoid()
        top = top * factor.gather(1, cell)
    decoded = head.bbox_coder.decode(
        priors[cell].flatten(0, 1), boxes.flatten(0, 1)
    )
    return Candidates(decoded.view(batch, -1, 4), top, index - cell * classes)


def _yolox_candidates(
    head: YOLOXHead, maps: Sequence, cfg: dict
) -> Candidates:
    """Decode every cell of a YOLOX head with its best label."""
    scores_of, boxes_of, objectness_of = maps
    batch = scores_of[0].shape[0]

    def flatten(levels: Sequence[Tensor], width: int) -> Tensor:
        parts = [
            level.permute(0, 2, 3, 1).reshape(batch, -1, width)
            for level in levels
        ]
        return torch.cat(parts, 1)

    priors = head.prior_generator.grid_priors(
        [level.shape[-2:] for level in scores_of],
        dtype=scores_of[0].dtype,
        device=scores_of[0].device,
        with_stride=True,
    )
    boxes = head._bbox_decode(torch.cat(priors), flatten(boxes_of, 4))
    scores = flatten(scores_of, head.cls_out_channels).sigmoid()
    scores, labels = scores.max(-1)
    scores = scores * flatten(objectness_of, 1).sigmoid().squeeze(-1)
    scores = torch.where(scores >= cfg.get('score_thr', 0), scores, 0.0)
    return Candidates(boxes, scores, labels)
