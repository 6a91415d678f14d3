"""FCOS3D's head with PGD's depth, keypoints and 2D boxes."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, Scale
from mmcv.ops import nms_rotated
from mmdet.models.losses import FocalLoss, GIoULoss
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from lvt_dense.registry import MODELS
from lvt_dense.structures import box2d_from_boxes3d, boxes_to_bev
from lvt_dense.utils.errors import UserError

from .base_head import Mono3DHead, last_layer
from .fcos3d_coder import (
    BASE_DIMS,
    DEPTH_MEAN,
    DEPTH_STD,
    NUM_DEPTH_BINS,
    Candidates,
    Points,
    PointTargets,
    decode_boxes,
    decode_boxes_2d,
    decode_half_turns,
    encode_points,
    find_candidates,
    fuse_depth,
    make_points,
)
from .instances import finish_boxes, join_objects, stack_cameras
from .losses import masked_mean, row_smooth_l1, uncertain_smooth_l1

# Branches on the tower of regression: channels of what each predicts.
_BRANCHES = dict(
    centerness=dict(centerness=1),
    offset=dict(offset=2),
    depth=dict(direct=1, depth_bins=NUM_DEPTH_BINS, depth_log_weight=1),
    dim=dict(dim=3),
    angle=dict(angle=1, direction=2),
    keypoints=dict(keypoints=16),
    box2d=dict(box2d=4),
)
_SCALED = ('offset', 'direct', 'dim', 'keypoints', 'box2d')
# Probability of every class at every point of a fresh head.
_PRIOR = 0.01
# Distances to the sides of 2D boxes start here, in strides: at 0 the ReLU
# would leave half of them without a gradient.
_FIRST_SIDE = 4.0
# Where smooth L1 turns linear: for most, and for depth in meters.
_BETA, _DEPTH_BETA = 1 / 9, 3.0


@MODELS.register_module()
class FCOS3DHead(Mono3DHead):
    """Predict 3D boxes at every point of an FPN, anchor-free.

    Two towers of convolutions, for classes and for the rest; from the latter
    one more convolution each for center-ness, offset, depth, size, angle,
    keypoints and 2D box. The weights are shared by the levels, save one
    scale each.

    Args:
        in_channels: Channels of the levels.
        num_classes: Number of classes of objects.
        feat_channels: Width of the towers, a multiple of 32.
        stacked_convs: Depth of the towers.
        strides: Pixels of the image per cell, for every level.
        base_dims: Mean length, height and width of every class in meters,
            which sizes are predicted relative to. By default those of
            KITTI's Pedestrian, Cyclist and Car; other classes need their
            own, such as
            :attr:`lvt_dense.datasets.kitti.folder.KittiFolder.mean_sizes`.
        train_cfg: Limits of the objects to learn from, see
            :class:`Mono3DHead`.
        test_cfg: The best ``nms_pre`` points of a level with a score of
            ``score_thr`` or more go into the suppression of boxes that
            overlap by more than ``nms_thr`` as seen from above; the best
            ``max_per_img`` are kept.
        init_cfg: As in MMEngine.

    Raises:
        UserError: There is not one size for each class.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int = 3,
        feat_channels: int = 64,
        stacked_convs: int = 2,
        strides: Sequence[int] = (4, 8, 16, 32),
        base_dims: Sequence[Sequence[float]] | None = None,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = dict(type='Normal', layer='Conv2d', std=0.01),
    ) -> None:
        super().__init__(num_classes, train_cfg, test_cfg, init_cfg)
        self.strides = tuple(strides)
        sizes = torch.tensor(_check_base_dims(base_dims, num_classes))
        self.register_buffer('base_dims', sizes, False)
        self.loss_cls = FocalLoss(use_sigmoid=True, gamma=2.0, alpha=0.25)
        self.loss_consistency = GIoULoss(reduction='none')

        def conv(channels: int) -> ConvModule:
            norm = dict(type='GN', num_groups=32)
            return ConvModule(
                channels, feat_channels, 3, padding=1, norm_cfg=norm
            )

        def tower() -> nn.Sequential:
            inputs = [in_channels] + [feat_channels] * (stacked_convs - 1)
            return nn.Sequential(*(conv(channels) for channels in inputs))

        self.cls_tower, self.reg_tower = tower(), tower()
        self.cls = nn.Sequential(
            conv(feat_channels), nn.Conv2d(feat_channels, num_classes, 1)
        )
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(
                    conv(feat_channels),
                    nn.Conv2d(feat_channels, sum(outputs.values()), 1),
                )
                for name, outputs in _BRANCHES.items()
            }
        )
        self.scales = nn.ModuleList(
            nn.ModuleDict({name: Scale(1.0) for name in _SCALED})
            for _ in self.strides
        )
        self.depth_balance = nn.Parameter(torch.zeros(()))

    def init_weights(self) -> None:
        """Set the prior of the classes and the first sides of boxes."""
        super().init_weights()
        prior = -math.log((1 - _PRIOR) / _PRIOR)
        nn.init.constant_(last_layer(self.cls).bias, prior)
        sides = last_layer(self.branches['box2d'])
        nn.init.constant_(sides.bias, _FIRST_SIDE)

    def forward(self, features: Sequence[Tensor]) -> list[dict[str, Tensor]]:
        """Run the head on every level.

        Args:
            features: Levels (N, C, H, W), one for each stride.

        Returns:
            Maps (N, channels, H, W) in float32, for every level:

            - ``cls``: logits of the classes; ``centerness``: a logit.
            - ``offset``: (x, y) from the projected center to the point, in
              strides.
            - ``depth``: meters; ``depth_log_weight``: its uncertainty.
            - ``dim``: length, height, width relative to the class's.
            - ``angle``: observation angle, up to half turns;
              ``direction``: logits of the two half turns.
            - ``keypoints``: (x, y) from the point to the 8 corners, relative
              to the level's reach, in (-1, 1).
            - ``box2d``: distances to left, top, right and bottom, in
              strides.
        """
        return [
            self._forward_level(feature, scales)
            for feature, scales in zip(features, self.scales)
        ]

    def _forward_level(
        self, feature: Tensor, scales: Any
    ) -> dict[str, Tensor]:
        maps = dict(cls=self.cls(self.cls_tower(feature)).float())
        regression = self.reg_tower(feature)
        for name, outputs in _BRANCHES.items():
            out = self.branches[name](regression).float()
            maps.update(zip(outputs, out.split(tuple(outputs.values()), 1)))
        for name, scale in scales.items():
            maps[name] = scale(maps[name])
        direct = DEPTH_MEAN + DEPTH_STD * maps.pop('direct')
        maps['depth'] = fuse_depth(
            direct, maps.pop('depth_bins'), self.depth_balance
        )
        maps['dim'] = maps['dim'].exp()
        maps['keypoints'] = maps['keypoints'].tanh()
        maps['box2d'] = maps['box2d'].relu()
        return maps

    def loss(
        self, features: Sequence[Tensor], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch, see :meth:`loss_by_maps`."""
        gts, counts, metas = self.objects_to_learn(batch_data_samples)
        return self.loss_by_maps(self(features), gts, metas, counts)

    def loss_by_maps(
        self,
        levels: Sequence[dict[str, Tensor]],
        gts: Sequence[InstanceData],
        metas: Sequence[dict],
        counts: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Compare maps with objects, weighted as PGD does on KITTI.

        Depth is judged together with its uncertainty, so its loss may be
        negative. Without objects every loss but the classes' is 0.

        Args:
            levels: See :meth:`forward`.
            gts: Objects of every image.
            metas: ``cam2img`` and ``img_shape`` of every image.
            counts: (M,) which objects of all images are learned from; None
                for all.
        """
        points, flat = self._flatten(levels)
        cameras = stack_cameras(metas, points.xy)
        objects = join_objects(gts)
        if counts is None:
            counts = torch.ones_like(objects.image, dtype=torch.bool)
        with torch.no_grad():
            shapes = [maps['cls'].shape[-2:] for maps in levels]
            found = find_candidates(
                points, shapes, self.strides, objects, counts, cameras
            )
            chosen, camera = points.pick(found.point), cameras[found.image]
            target = encode_points(chosen, objects, found.object, camera)
        positive = found.is_positive
        cls_loss = self.loss_cls(
            flat['cls'].flatten(0, 1),
            self._labels(found, target, flat['cls']),
            avg_factor=positive.sum() + len(gts),
        )
        pred = {
            name: _pick(value, found, positive) for name, value in flat.items()
        }
        losses = self._box_losses(pred, target, positive)
        shape = torch.tensor([meta['img_shape'][:2] for meta in metas])
        shape = shape.to(points.xy.device, non_blocking=True)
        losses['loss_consistency'] = self._consistency_loss(
            chosen,
            pred,
            target.label,
            camera,
            shape.to(points.xy.dtype)[found.image],
            positive,
        )
        return dict(loss_cls=cls_loss, **losses)

    def _labels(
        self, found: Candidates, target: PointTargets, cls: Tensor
    ) -> Tensor:
        """Return the class of every point (N * P,), or that of none."""
        images, count = cls.shape[:2]
        place = found.image * count + found.point
        labels = target.label.masked_fill(~found.is_positive, self.num_classes)
        every = torch.full_like(
            cls[..., 0].reshape(-1), self.num_classes, dtype=torch.long
        )
        return every.scatter_reduce(0, place, labels, 'amin')

    def _box_losses(
        self, pred: dict[str, Tensor], target: PointTargets, mask: Tensor
    ) -> dict[str, Tensor]:
        """Compare the values of points with targets, where a mask is set."""
        angle = pred['angle'].squeeze(1)
        # sin(a - b), as two terms; the half turn is left to the direction.
        sines = angle.sin() * target.alpha.cos()
        cosines = angle.cos() * target.alpha.sin()
        valid = target.keypoint_valid[..., None]
        keypoints = pred['keypoints'].view_as(target.keypoints)
        dim = pred['dim'] * self.base_dims[target.label]
        return dict(
            loss_centerness=masked_mean(
                F.binary_cross_entropy_with_logits(
                    pred['centerness'].squeeze(1),
                    torch.where(mask, target.centerness, 0),
                    reduction='none',
                ),
                mask,
            ),
            loss_offset=row_smooth_l1(
                pred['offset'], target.offset, _BETA, mask
            ),
            loss_depth=uncertain_smooth_l1(
                pred['depth'].squeeze(1),
                target.depth,
                pred['depth_log_weight'].squeeze(1),
                _DEPTH_BETA,
                mask,
            ),
            loss_dim=row_smooth_l1(dim, target.dim, _BETA, mask),
            loss_angle=row_smooth_l1(
                sines[:, None], cosines[:, None], _BETA, mask
            ),
            loss_direction=masked_mean(
                F.cross_entropy(
                    pred['direction'], target.direction, reduction='none'
                ),
                mask,
            ),
            loss_keypoints=0.2
            * row_smooth_l1(
                keypoints.where(valid, keypoints * 0),
                target.keypoints.where(valid, keypoints.new_zeros(())),
                _BETA,
                mask,
            ),
            loss_box2d=row_smooth_l1(pred['box2d'], target.box2d, _BETA, mask),
        )

    def _consistency_loss(
        self,
        points: Points,
        pred: dict[str, Tensor],
        label: Tensor,
        cameras: Tensor,
        image_shape: Tensor,
        mask: Tensor,
    ) -> Tensor:
        """Compute 1 - GIoU of the 2D boxes and the projected 3D boxes."""
        boxes = decode_boxes(
            points,
            pred['offset'],
            pred['depth'].squeeze(1),
            pred['dim'] * self.base_dims[label],
            # A box looks the same after half a turn.
            pred['angle'].squeeze(1),
            cameras,
        )
        projected = box2d_from_boxes3d(boxes, cameras)
        # Labeled 2D boxes end at the image, predicted ones learn to.
        limit = image_shape.flip(1).repeat(1, 2) - 1
        projected = torch.minimum(projected.clamp(min=0), limit)
        boxes_2d = decode_boxes_2d(points, pred['box2d'])
        return masked_mean(self.loss_consistency(boxes_2d, projected), mask)

    def predict_by_maps(
        self,
        maps: Sequence[dict[str, Tensor]],
        metas: Sequence[dict],
        rescale: bool,
    ) -> list[InstanceData]:
        """Decode maps, see :meth:`Mono3DHead.predict_by_maps`.

        The score is class times center-ness.
        """
        points, flat = self._flatten(maps)
        scores, labels = flat['cls'].sigmoid().max(-1)
        scores = scores * flat['centerness'].sigmoid().squeeze(-1)
        cameras = stack_cameras(metas, points.xy)
        results = []
        for i, meta in enumerate(metas):
            index = self._candidates(points, scores[i])
            found = self._decode(
                points.pick(index),
                {name: value[i, index] for name, value in flat.items()},
                labels[i, index],
                cameras[i],
            )
            found.scores_3d = scores[i, index]
            kept = self._suppress(found)
            results.append(finish_boxes(found[kept], meta, rescale))
        return results

    def decode_candidates(
        self, maps: Sequence[dict[str, Tensor]], cameras: Tensor
    ) -> dict[str, Tensor]:
        """Decode the best points of every level, in static shapes.

        Args:
            maps: What :meth:`forward` returns.
            cameras: Projection matrices, (N, 4, 4).

        Returns:
            ``bboxes_3d`` (N, K, 7), ``scores_3d`` (N, K), 0 below the
            threshold, ``labels_3d`` (N, K), ``bboxes`` (N, K, 4) and
            ``alphas`` (N, K).
        """
        points, flat = self._flatten(maps)
        scores, labels = flat['cls'].sigmoid().max(-1)
        scores = scores * flat['centerness'].sigmoid().squeeze(-1)
        threshold = self.test_cfg.get('score_thr', 0.001)
        scores = torch.where(scores >= threshold, scores, 0.0)
        limit = self.test_cfg.get('nms_pre', 100)
        best, first = [], 0
        for level in maps:
            count = level['cls'].shape[-2] * level['cls'].shape[-1]
            top = scores[:, first : first + count].topk(min(limit, count))
            best.append(top.indices + first)
            first += count
        index = torch.cat(best, 1)
        images, picked = index.shape
        pred = {
            name: value.gather(
                1, index[..., None].expand(-1, -1, value.shape[-1])
            ).flatten(0, 1)
            for name, value in flat.items()
        }
        found = self._decode(
            points.pick(index.flatten()),
            pred,
            labels.gather(1, index).flatten(),
            cameras.repeat_interleave(picked, 0),
        )
        out = {
            name: value.unflatten(0, (images, picked))
            for name, value in found.items()
        }
        return dict(out, scores_3d=scores.gather(1, index))

    def _decode(
        self,
        points: Points,
        pred: dict[str, Tensor],
        labels: Tensor,
        camera: Tensor,
    ) -> InstanceData:
        alpha = decode_half_turns(
            pred['angle'].squeeze(1), pred['direction'].argmax(1)
        )
        boxes = decode_boxes(
            points,
            pred['offset'],
            pred['depth'].squeeze(1),
            pred['dim'] * self.base_dims[labels],
            alpha,
            camera,
        )
        return InstanceData(
            bboxes_3d=boxes,
            labels_3d=labels,
            bboxes=decode_boxes_2d(points, pred['box2d']),
            alphas=alpha,
        )

    def _candidates(self, points: Points, scores: Tensor) -> Tensor:
        """Return the indices of the best points of every level."""
        threshold = self.test_cfg.get('score_thr', 0.001)
        limit = self.test_cfg.get('nms_pre', 100)
        kept = []
        for stride in self.strides:
            level = (
                (points.stride == stride) & (scores >= threshold)
            ).nonzero(as_tuple=True)[0]
            best = scores[level].topk(min(limit, len(level))).indices
            kept.append(level[best])
        return torch.cat(kept)

    def _suppress(self, found: InstanceData) -> Tensor:
        """Return the indices of what is left, by falling score."""
        if len(found) == 0:
            return found.labels_3d
        bev = boxes_to_bev(found.bboxes_3d).float()
        # Far apart, classes do not suppress each other.
        bev[:, 0] += found.labels_3d * 1000
        _, kept = nms_rotated(
            bev,
            found.scores_3d.float(),
            self.test_cfg.get('nms_thr', 0.05),
        )
        return kept[: self.test_cfg.get('max_per_img', 20)]

    def _flatten(
        self, levels: Sequence[dict[str, Tensor]]
    ) -> tuple[Points, dict[str, Tensor]]:
        """Return the points of all levels, and values (N, P, channels)."""
        shapes = [maps['cls'].shape[-2:] for maps in levels]
        points = make_points(shapes, self.strides, levels[0]['cls'])
        flat = {
            name: torch.cat(
                [maps[name].flatten(2).transpose(1, 2) for maps in levels], 1
            )
            for name in levels[0]
        }
        return points, flat


def _pick(value: Tensor, found: Candidates, positive: Tensor) -> Tensor:
    """Pick (T, C) from (N, P, C); only positive ones pass gradients on."""
    picked = value[found.image, found.point]
    return torch.where(positive[:, None], picked, picked.detach())


def _check_base_dims(
    base_dims: Sequence[Sequence[float]] | None, num_classes: int
) -> Sequence[Sequence[float]]:
    sizes = BASE_DIMS if base_dims is None else base_dims
    if len(sizes) == num_classes and all(
        len(size) == 3 and min(size) > 0 for size in sizes
    ):
        return sizes
    given = (
        "the sizes of KITTI's Pedestrian, Cyclist and Car"
        if base_dims is None
        else f'base_dims={[list(size) for size in base_dims]}'
    )
    raise UserError(
        f'FCOS3DHead has num_classes={num_classes}, but {given}; set '
        'model.bbox_head.base_dims to the mean (length, height, width) in '
        'meters of each class'
    )
