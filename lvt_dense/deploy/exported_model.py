"""An exported model in the place of a PyTorch one, for its evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.model import BaseModel
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from torch import Tensor

from lvt_dense.registry import MODELS
from lvt_dense.runtime import Predictor
from lvt_dense.runtime.masks import paste_mask
from lvt_dense.utils.errors import UserError

SUFFIXES = ('.onnx', '.xml', '.ncnn', '.tflite')


def is_exported(path: str | Path) -> bool:
    """Return whether a file is an exported model, and no checkpoint."""
    return Path(path).suffix in SUFFIXES


def make_feed(model: Predictor, pixels: np.ndarray) -> dict[str, np.ndarray]:
    """Return inputs of a model for images that fill its input.

    Args:
        model: The model.
        pixels: Images, (N, H, W, 3) uint8 in the model's channel order.
    """
    count, height, width = pixels.shape[:3]
    camera = np.eye(4, dtype=np.float32)
    camera[0, 0] = camera[1, 1] = width / 2
    known = dict(
        image=pixels,
        size=np.array([[height, width]] * count, np.int64),
        camera=np.stack([camera] * count),
    )
    return {name: known[name] for name in model.info['inputs']}


@MODELS.register_module()
class ExportedModel(BaseModel):
    """Run an exported model in MMEngine's test loop.

    The images are loaded and resized by the config's test pipeline; the
    data samples get what the PyTorch model would write into them.

    Args:
        path: ``.onnx``, ``.xml`` or ``.tflite`` file, or ``.ncnn`` folder.

    Raises:
        UserError: It is no exported model.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        try:
            self.predictor = Predictor(path)
        except ValueError as error:
            raise UserError(str(error)) from error
        self.info = self.predictor.info
        self.path = path

    def forward(
        self,
        inputs: Sequence[Tensor],
        data_samples: Sequence[BaseDataElement],
        mode: str = 'predict',
    ) -> list[BaseDataElement]:
        """Predict on images that a test pipeline has packed.

        Args:
            inputs: Images, (3, H, W) uint8 in BGR each.
            data_samples: Their data samples.
            mode: ``'predict'``.

        Returns:
            The data samples with predictions.

        Raises:
            UserError: An image is larger than the model's input, or the
                model only predicts.
        """
        if mode != 'predict':
            raise UserError(
                f'{self.path} is an exported model, which only predicts; '
                f'mode={mode!r} was asked for'
            )
        for image, sample in zip(inputs, data_samples):
            found = self.predictor.run(self._feed(image, sample))
            outputs = {k: torch.from_numpy(v[0]) for k, v in found.items()}
            self._write(outputs, sample, image.shape[-2:])
        return list(data_samples)

    def _feed(
        self, image: Tensor, sample: BaseDataElement
    ) -> dict[str, np.ndarray]:
        picture = image.permute(1, 2, 0).cpu().numpy()
        if self.info['color'] == 'rgb':
            picture = picture[..., ::-1]
        height, width = picture.shape[:2]
        divisor = int(self.info.get('divisor') or 1)
        canvas = self.info['size'] or [
            -(-side // divisor) * divisor for side in (height, width)
        ]
        if height > canvas[0] or width > canvas[1]:
            raise UserError(
                f'the test pipeline makes images of {height}x{width}, but '
                f'{self.path} takes at most {canvas[0]}x{canvas[1]}: export '
                'it with a larger --size'
            )
        padded = np.zeros((1, *canvas, 3), np.uint8)
        padded[0, :height, :width] = picture
        feed = {'image': padded}
        if 'size' in self.info['inputs']:
            feed['size'] = np.array([[height, width]], np.int64)
        if 'camera' in self.info['inputs']:
            camera = np.asarray(sample.cam2img, np.float32)
            feed['camera'] = camera[None]
        return feed

    def _write(
        self,
        outputs: dict[str, Tensor],
        sample: BaseDataElement,
        shape: Sequence[int],
    ) -> None:
        task = self.info['task']
        if task == 'semantic':
            labels = outputs['labels'][: shape[0], : shape[1]]
            sample.pred_sem_seg = PixelData(
                data=_resize_labels(labels, sample.ori_shape)[None]
            )
            return
        keep = outputs['scores'] > 0
        outputs = {name: value[keep] for name, value in outputs.items()}
        factor = torch.tensor(sample.metainfo.get('scale_factor', (1.0, 1.0)))
        boxes = outputs['boxes'] / factor.repeat(2).to(outputs['boxes'])
        if task == 'mono3d':
            from lvt_dense.models.mono3d.instances import finish_boxes

            found = InstanceData(bboxes=outputs['boxes'])
            found = finish_boxes(found, sample.metainfo, rescale=True)
            sample.pred_instances_3d = InstanceData(
                bboxes_3d=outputs['boxes_3d'],
                scores_3d=outputs['scores'],
                labels_3d=outputs['labels'],
                bboxes=found.bboxes,
                alphas=_observation_angles(outputs['boxes_3d'], sample),
            )
            return
        found = InstanceData(
            bboxes=boxes, scores=outputs['scores'], labels=outputs['labels']
        )
        if task == 'instance':
            masks = [
                paste_mask(mask, box, sample.ori_shape[:2])
                for mask, box in zip(outputs['masks'].numpy(), boxes.numpy())
            ]
            empty = np.zeros((0, *sample.ori_shape[:2]), bool)
            found.masks = torch.from_numpy(np.stack(masks) if masks else empty)
        sample.pred_instances = found


def _resize_labels(labels: Tensor, shape: Sequence[int]) -> Tensor:
    """Give each pixel of an image of a shape its nearest label, (H, W)."""
    if tuple(labels.shape) == tuple(shape[:2]):
        return labels.long()
    image = labels[None, None].float()
    return F.interpolate(image, tuple(shape[:2]), mode='nearest-exact')[
        0, 0
    ].long()


def _observation_angles(boxes: Tensor, sample: Any) -> Tensor:
    from lvt_dense.structures import (
        geometric_centers,
        project_points,
        yaw_to_alpha,
    )

    if not len(boxes):
        return boxes.new_zeros(0)
    camera = torch.as_tensor(np.asarray(sample.cam2img), dtype=boxes.dtype)
    column = project_points(geometric_centers(boxes), camera)[:, 0]
    return yaw_to_alpha(boxes[:, 6], column, camera)
