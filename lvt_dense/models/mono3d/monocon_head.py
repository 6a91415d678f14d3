"""MonoCon's head (Liu, Xue and Wu, AAAI 2022)."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule
from mmdet.models.losses import GaussianFocalLoss
from mmdet.structures import SampleList
from mmengine.structures import InstanceData
from torch import Tensor, nn

from lvt_dense.registry import MODELS

from .base_head import Mono3DHead, last_layer
from .instances import finish_boxes, stack_cameras
from .losses import (
    dimension_aware_l1,
    laplacian_depth_loss,
    masked_mean,
    mean_l1,
)
from .monocon_coder import NUM_BINS, NUM_KEYPOINTS, decode_maps
from .monocon_targets import MonoConTargets, build_targets

# Channels of the branches, beside the heatmap's one a class.
_BRANCHES = dict(
    wh=2,
    offset=2,
    keypoints=2 * NUM_KEYPOINTS,
    dim=3,
    depth=2,
    angle=2 * NUM_BINS,
)
# Contexts that only training profits from.
_AUXILIARY = dict(keypoint_heatmap=NUM_KEYPOINTS, keypoint_offset=2)
_HEATMAPS = ('heatmap', 'keypoint_heatmap')
# Probability in every cell of a fresh heatmap.
_PRIOR = 0.1


@MODELS.register_module()
class MonoConHead(Mono3DHead):
    """Predict 3D boxes from one map, with auxiliary contexts in training.

    Every branch is a 3x3 convolution, a normalization, a ReLU and a 1x1
    convolution. The branches that serve training alone, the heatmaps and
    sub-cell offsets of the 9 keypoints, are not run in prediction.

    Args:
        in_channels: Channels of the map.
        num_classes: Number of classes of objects.
        feat_channels: Width of the branches.
        stride: Pixels of the image per cell of the map.
        norm_cfg: Normalization in the branches: attentive, or ``dict(
            type='BN')`` for the ordinary one.
        train_cfg: Limits of the objects to learn from, see
            :class:`Mono3DHead`.
        test_cfg: ``topk`` peaks are decoded, those with a score of
            ``score_thr`` or more kept.
        init_cfg: As in MMEngine.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int = 3,
        feat_channels: int = 64,
        stride: int = 4,
        norm_cfg: dict = dict(type='lvt_dense.AttentiveBN'),
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(num_classes, train_cfg, test_cfg, init_cfg)
        self.stride = stride
        self.loss_heatmap = GaussianFocalLoss(alpha=2.0, gamma=4.0)
        branches = dict(heatmap=num_classes, **_BRANCHES, **_AUXILIARY)
        self.branches = nn.ModuleDict(
            {
                name: nn.Sequential(
                    ConvModule(
                        in_channels,
                        feat_channels,
                        3,
                        padding=1,
                        norm_cfg=norm_cfg,
                    ),
                    nn.Conv2d(feat_channels, channels, 1),
                )
                for name, channels in branches.items()
            }
        )

    def init_weights(self) -> None:
        """Set the prior of the heatmaps, and small weights elsewhere."""
        super().init_weights()
        for name, branch in self.branches.items():
            out: Any = last_layer(branch)
            hidden: Any = branch.get_submodule('0')
            if name in _HEATMAPS:
                prior = -math.log((1 - _PRIOR) / _PRIOR)
                nn.init.constant_(out.bias, prior)
                continue
            for conv in (hidden.conv, out):
                nn.init.normal_(conv.weight, std=0.001)
            nn.init.zeros_(out.bias)

    def forward(
        self, features: Sequence[Tensor], auxiliary: bool = False
    ) -> dict[str, Tensor]:
        """Run the branches on ((N, C, H, W),).

        Args:
            features: The neck's output, one map.
            auxiliary: Whether to run those too that serve training alone.

        Returns:
            Maps (N, channels, H, W) in float32. Distances in the image
            count in cells:

            - ``heatmap``: probabilities of centers of 2D boxes, one channel
              a class.
            - ``offset`` (x, y) from a cell to the center of the 2D box and
              ``wh`` (width, height) of that box.
            - ``keypoints``: (x, y) from the cell to the 8 corners and the
              center of the 3D box.
            - ``dim``: length, height, width in meters.
            - ``depth``: meters, and log of their standard deviation.
            - ``angle``: logits of the 12 bins, then their residuals.
            - ``keypoint_heatmap``, one channel a keypoint, and
              ``keypoint_offset``, if auxiliary.
        """
        (feature,) = features
        maps = {
            name: branch(feature).float().contiguous()
            for name, branch in self.branches.items()
            if auxiliary or name not in _AUXILIARY
        }
        for name in _HEATMAPS:
            if name in maps:
                maps[name] = maps[name].sigmoid().clamp(1e-4, 1 - 1e-4)
        depth, log_sigma = maps['depth'].split(1, dim=1)
        # 1 / sigmoid(x) - 1, without its cancellation.
        maps['depth'] = torch.cat(((-depth).exp(), log_sigma), 1)
        return maps

    def loss(
        self, features: Sequence[Tensor], batch_data_samples: SampleList
    ) -> dict[str, Tensor]:
        """Compute the losses of a batch, see :meth:`loss_by_maps`."""
        maps = self(features, auxiliary=True)
        gts, counts, metas = self.objects_to_learn(batch_data_samples)
        targets = build_targets(
            gts,
            stack_cameras(metas, maps['depth']),
            maps['heatmap'].shape[-2:],
            self.stride,
            self.num_classes,
            counts,
        )
        return self.loss_by_maps(maps, targets)

    def loss_by_maps(
        self, maps: dict[str, Tensor], targets: MonoConTargets
    ) -> dict[str, Tensor]:
        """Compare maps with targets, weighted as published.

        Depth is judged as a Laplace distribution, so its loss may be
        negative. Without objects every loss but the heatmaps' is 0.
        """
        objects, counts = targets.objects, targets.counts

        def at_objects(name: str) -> Tensor:
            return _pick(maps[name], targets.image, objects.cell)

        keypoints = at_objects('keypoints').view_as(objects.keypoints)
        keypoint_offset = _pick(
            maps['keypoint_offset'],
            targets.keypoint_image,
            targets.keypoint_cell,
        )
        depth, log_sigma = at_objects('depth').unbind(-1)
        logits, residuals = at_objects('angle').chunk(2, -1)
        angle_bin = objects.angle_bin[:, None]
        bins = torch.arange(NUM_BINS, device=angle_bin.device)
        bin_losses = F.binary_cross_entropy_with_logits(
            logits, (angle_bin == bins).to(logits), reduction='none'
        )
        return dict(
            loss_heatmap=self._heatmap_loss(maps['heatmap'], targets.heatmap),
            loss_keypoint_heatmap=self._heatmap_loss(
                maps['keypoint_heatmap'], targets.keypoint_heatmap
            ),
            loss_wh=0.1 * mean_l1(at_objects('wh'), objects.wh, counts),
            loss_offset=mean_l1(at_objects('offset'), objects.offset, counts),
            loss_keypoints=mean_l1(
                keypoints,
                objects.keypoints,
                objects.keypoint_valid & counts[:, None],
            ),
            loss_keypoint_offset=mean_l1(
                keypoint_offset,
                targets.keypoint_offset,
                targets.keypoint_counts,
            ),
            loss_dim=dimension_aware_l1(
                at_objects('dim'), objects.dim, counts
            ),
            loss_depth=laplacian_depth_loss(
                depth, log_sigma, objects.depth, counts
            ),
            loss_angle_bin=masked_mean(bin_losses, counts),
            loss_angle_residual=mean_l1(
                residuals.gather(1, angle_bin).squeeze(1),
                objects.angle_residual,
                counts,
            ),
        )

    def _heatmap_loss(self, pred: Tensor, target: Tensor) -> Tensor:
        positives = target.eq(1).sum().clamp(min=1)
        return self.loss_heatmap(pred, target, avg_factor=positives)

    def predict_by_maps(
        self, maps: dict[str, Tensor], metas: Sequence[dict], rescale: bool
    ) -> list[InstanceData]:
        """Decode maps, see :meth:`Mono3DHead.predict_by_maps`."""
        decoded = decode_maps(
            maps,
            stack_cameras(metas, maps['depth']),
            self.stride,
            self.test_cfg.get('topk', 30),
        )
        threshold = self.test_cfg.get('score_thr', 0.05)
        results = []
        for i, meta in enumerate(metas):
            found = InstanceData(**{k: v[i] for k, v in decoded.items()})
            found = found[found.scores_3d >= threshold]
            order = found.scores_3d.argsort(descending=True)
            results.append(finish_boxes(found[order], meta, rescale))
        return results


def _pick(maps: Tensor, image: Tensor, cell: Tensor) -> Tensor:
    """Pick (M, C) from maps (N, C, H, W) at cells (M, 2) of images (M,)."""
    return maps[image, :, cell[:, 1], cell[:, 0]]
