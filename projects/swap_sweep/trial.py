"""Build a model from its config and run it on made-up images."""

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.registry import MODELS, DefaultScope
from mmengine.runner import set_random_seed
from mmengine.structures import InstanceData, PixelData
from torch import Tensor, nn

from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError

# Sides of the images in pixels: the second one is for models whose smallest
# level must hold a kernel of 3 x 3, or that pick hundreds of positions.
SIDES = (128, 384)
BATCH = 2
FRAMES = 2  # of a video
MODES = ('init', 'loss', 'predict', 'tensor')
# Of video models, whose detectors are trained by themselves.
IMAGES = dict(type='DetDataPreprocessor', pad_size_divisor=32)


class Trial:
    """A model with random weights, and images for it.

    Args:
        cfg: Config of a detector, segmenter or tracker.
        side: Side of the images in pixels.
    """

    def __init__(self, cfg: Config, side: int = SIDES[0]) -> None:
        self.scope = cfg.get('default_scope') or 'mmdet'
        self.side = side
        self.model: nn.Module | None = None
        with DefaultScope.overwrite_default_scope(self.scope):
            self.cfg = at_small_size(cfg.model, side)
            if _is_trained_apart(self.cfg):
                detector = self.cfg['detector']
                detector.setdefault('data_preprocessor', dict(IMAGES))
                self.cfg = detector

    def init(self) -> None:
        """Build the model and draw its weights."""
        set_random_seed(0)
        # Some losses warm up with the training loop's counters.
        hub = MessageHub.get_current_instance()
        hub.update_info_dict(dict(iter=0, epoch=0, max_iters=1, max_epochs=1))
        with DefaultScope.overwrite_default_scope(self.scope):
            model = MODELS.build(self.cfg)
            # Not only for the sake of a fresh training: some parameters, as
            # the level_embed of DINO and DDQ, are made of unset memory, which
            # may hold NaN.
            model.init_weights()
            # the loss of a semi-supervised detector takes augmented pairs
            self.model = getattr(model, 'student', model)

    def loss(self) -> dict[str, float]:
        """Compute the losses.

        Returns:
            The losses by name.

        Raises:
            FloatingPointError: One is not finite.
        """
        self.model.train()
        data = self._load(BATCH, training=True)
        with DefaultScope.overwrite_default_scope(self.scope):
            losses = self.model(**data, mode='loss')
        total, values = self.model.parse_losses(losses)
        if not bool(torch.isfinite(total)):
            raise FloatingPointError(f'the losses are {values}')
        return {name: value.item() for name, value in values.items()}

    @torch.no_grad()
    def predict(self) -> list:
        """Predict on one image, of a video on one frame of its detector.

        Returns:
            The samples, with predictions.

        Raises:
            ValueError: There is none.
        """
        model, self.model = self.model, _detector_of(self.model)
        try:
            self.model.eval()
            data = self._load(1, training=False)
            with DefaultScope.overwrite_default_scope(self.scope):
                samples = self.model(**data, mode='predict')
        finally:
            self.model = model
        if len(samples) != 1 or not any(
            key.startswith('pred_') or key == 'proposals'
            for key in samples[0].keys()  # noqa: SIM118
        ):
            raise ValueError(f'no prediction came: {samples}')
        return samples

    @torch.no_grad()
    def tensor(self) -> Any:
        """Run the network without losses or decoding."""
        self.model.eval()
        data = self._load(1, training=False)
        with DefaultScope.overwrite_default_scope(self.scope):
            return self.model(**data, mode='tensor')

    def _load(self, count: int, training: bool) -> dict[str, Any]:
        if self.scope == 'mmseg':
            batch = _segmentation_batch(self.cfg, self.side, count)
        elif _is_video(self.model):
            batch = _video_batch(self.cfg, self.side, count)
        else:
            batch = _detection_batch(self.cfg, self.side, count)
            if getattr(self.model, 'with_rpn', False) and not training:
                for sample in batch['data_samples']:
                    del sample.proposals  # it makes its own
        preprocess = self.model.data_preprocessor
        if not _can_preprocess(preprocess):
            with DefaultScope.overwrite_default_scope(self.scope):
                preprocess = MODELS.build(dict(IMAGES))
        return preprocess(batch, training)


def try_model(cfg: Config) -> dict[str, float]:
    """Build the model of a config, compute its losses, and predict.

    Args:
        cfg: Config of a detector, segmenter or tracker.

    Returns:
        The losses by name.

    Raises:
        Exception: Whatever the model raises on images of either size.
    """
    small, large = SIDES
    try:
        return _try_at(small, cfg)
    except Exception:
        return _try_at(large, cfg)


def _try_at(side: int, cfg: Config) -> dict[str, float]:
    trial = Trial(cfg, side)
    trial.init()
    losses = trial.loss()
    trial.predict()
    return losses


def try_modes(cfg: Config) -> dict[str, str]:
    """Try every mode of a model by itself.

    Returns:
        By mode, what it raises on images of either size; empty for nothing.
    """
    faults = dict.fromkeys(MODES, 'not reached')
    for side in SIDES:
        trial = Trial(cfg, side)
        for mode in MODES:
            if faults[mode] == '':
                if mode == 'init':
                    trial.init()
                continue
            try:
                getattr(trial, mode)()
            except Exception as error:
                text = ' '.join(str(error).split())[:160]
                faults[mode] = f'{type(error).__name__}: {text}'
                if mode == 'init':
                    return faults
            else:
                faults[mode] = ''
        if not any(faults.values()):
            break
    return faults


def build_model(cfg: Config) -> nn.Module:
    """Build the model of a config without its weights.

    Raises:
        Exception: Whatever the building raises.
    """
    scope = cfg.get('default_scope') or 'mmdet'
    with DefaultScope.overwrite_default_scope(scope):
        return MODELS.build(at_small_size(cfg.model))


def at_small_size(model: Any, side: int = SIDES[0]) -> Any:
    """Copy a model's config without weights and fixed image sizes."""
    model = copy.deepcopy(model)
    for node in _dicts(model):
        init = node.get('init_cfg')
        if isinstance(init, dict) and init.get('type') == 'Pretrained':
            node['init_cfg'] = None
        for key in ('pretrained', 'teacher_ckpt'):
            if key in node:
                node[key] = None
        # These bring every image to the full training size.
        if node.get('batch_augments'):
            node['batch_augments'] = None
        if 'size' in node and _is_seg_preprocessor(node):
            node['size'] = (side, side)
            if node.get('test_cfg'):
                node['test_cfg'] = None
    test = model.get('test_cfg')
    if isinstance(test, dict) and test.get('mode') == 'slide':
        model['test_cfg'] = dict(mode='whole')
    return model


def _is_seg_preprocessor(cfg: dict[str, Any]) -> bool:
    from mmseg.models import SegDataPreProcessor

    try:
        kind = find_class(MODELS, cfg)
    except UserError:
        return False
    return isinstance(kind, type) and issubclass(kind, SegDataPreProcessor)


def _is_trained_apart(cfg: dict[str, Any]) -> bool:
    if 'detector' not in cfg:
        return False
    from mmdet.models.mot import OCSORT, ByteTrack, DeepSORT

    return issubclass(find_class(MODELS, cfg), (ByteTrack, DeepSORT, OCSORT))


def _is_video(model: nn.Module) -> bool:
    from mmdet.models.mot import BaseMOTModel

    return isinstance(model, BaseMOTModel)


def _detector_of(model: nn.Module) -> nn.Module:
    return model.detector if _is_video(model) else model


def _can_preprocess(preprocessor: nn.Module) -> bool:
    """Whether it is more than the base class, which stacks nothing."""
    from mmengine.model import BaseDataPreprocessor

    return type(preprocessor) is not BaseDataPreprocessor


def _dicts(node: Any) -> Iterator[dict]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _dicts(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _dicts(value)


def _num_classes(cfg: dict[str, Any]) -> int:
    """The smallest number of classes that a head of the model knows."""
    keys = ('num_classes', 'num_things_classes')
    heads = [value for key, value in cfg.items() if key != 'backbone']
    counts = [
        node[key]
        for node in _dicts(heads)
        for key in keys
        if isinstance(node.get(key), int)
    ]
    return min([count for count in counts if count > 0] or [1])


def _images(rng: np.random.RandomState, side: int, *leading: int) -> Tensor:
    pixels = rng.randint(0, 255, (*leading, 3, side, side), dtype=np.uint8)
    return torch.from_numpy(pixels)


def _segmentation_batch(
    cfg: dict[str, Any], side: int, count: int
) -> dict[str, Any]:
    from mmseg.structures import SegDataSample

    rng = np.random.RandomState(0)
    heads = cfg['decode_head']
    heads = heads if isinstance(heads, list) else [heads]
    classes = min(node.get('num_classes', 2) for node in heads)
    samples = []
    for _ in range(count):
        meta = dict(
            img_shape=(side, side),
            ori_shape=(side, side),
            pad_shape=(side,) * 2,
        )
        sample = SegDataSample(metainfo=meta)
        labels = torch.from_numpy(rng.randint(0, classes, (1, side, side)))
        edges = torch.from_numpy(rng.randint(0, 2, (1, side, side)))
        sample.gt_sem_seg = PixelData(data=labels)
        sample.gt_edge_map = PixelData(data=edges)
        samples.append(sample)
    images = list(_images(rng, side, count))
    return dict(inputs=images, data_samples=samples)


def _detection_batch(
    cfg: dict[str, Any], side: int, count: int
) -> dict[str, Any]:
    rng = np.random.RandomState(0)
    classes = _num_classes(cfg)
    stride = _semantic_stride(cfg)
    samples = [_detected(rng, side, classes, stride) for _ in range(count)]
    if not any('loss_mask' in n or n.get('pad_mask') for n in _dicts(cfg)):
        for sample in samples:  # RTMDet takes masks for a wish to learn them
            del sample.gt_instances.masks
    return dict(inputs=list(_images(rng, side, count)), data_samples=samples)


def _video_batch(cfg: dict[str, Any], side: int, count: int) -> dict[str, Any]:
    from mmdet.structures import TrackDataSample

    rng = np.random.RandomState(0)
    classes = _num_classes(cfg)
    samples = []
    for _ in range(count):
        sample = TrackDataSample()
        frames = [_detected(rng, side, classes, 1) for _ in range(FRAMES)]
        for number, frame in enumerate(frames):
            frame.set_metainfo(dict(frame_id=number))
        sample.video_data_samples = frames
        sample.set_metainfo(dict(key_frames_inds=[0], ref_frames_inds=[1]))
        samples.append(sample)
    return dict(
        inputs=list(_images(rng, side, count, FRAMES)), data_samples=samples
    )


def _semantic_stride(cfg: dict[str, Any]) -> int:
    """Stride of the semantic labels that a model's second head compares."""
    roi_head = cfg.get('roi_head') or {}
    return 8 if 'semantic_head' in roi_head else 1


def _detected(
    rng: np.random.RandomState, side: int, classes: int, stride: int
) -> Any:
    """Annotations of an image with three boxes."""
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks

    sides = rng.uniform(24, 80, (3, 2))
    corners = rng.uniform(0, side - sides)
    boxes = np.hstack([corners, corners + sides]).astype(np.float32)
    masks = np.zeros((len(boxes), side, side), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.astype(int)):
        mask[y1:y2, x1:x2] = 1
    sample = DetDataSample(
        metainfo=dict(
            img_id=0,
            img_shape=(side, side),
            ori_shape=(side, side),
            pad_shape=(side, side),
            scale_factor=(1.0, 1.0),
            border=(1, 1, 1, 1),
        )
    )
    sample.gt_instances = InstanceData(
        bboxes=torch.from_numpy(boxes),
        labels=torch.from_numpy(rng.randint(0, classes, len(boxes))),
        masks=BitmapMasks(masks, side, side),
        instances_ids=torch.arange(len(boxes)),
    )
    sample.ignored_instances = InstanceData(
        bboxes=torch.zeros(0, 4),
        labels=torch.zeros(0, dtype=torch.long),
    )
    cells = side // stride
    labels = torch.from_numpy(rng.randint(0, classes, (1, cells, cells)))
    sample.gt_sem_seg = PixelData(sem_seg=labels)
    sample.proposals = InstanceData(
        bboxes=torch.from_numpy(boxes), scores=torch.ones(len(boxes))
    )
    return sample


def listed_backbones(model: Any) -> list[str]:
    """List the types of all backbones in the config of a model."""
    return [
        str(node['backbone'].get('type'))
        for node in _dicts(model)
        if isinstance(node.get('backbone'), dict)
    ]
