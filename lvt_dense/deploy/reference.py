"""What a model itself predicts, in the form of its exported graph."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from mmengine.structures import BaseDataElement
from torch import Tensor

from lvt_dense.deploy.parity import compare_outputs
from lvt_dense.runtime.masks import paste_mask

Outputs = dict[str, np.ndarray]


def compare_with_model(
    model: Any,
    task: str,
    color: str,
    inputs: Mapping[str, Tensor],
    outputs: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """Measure how far a graph lies from its model's own prediction.

    Args:
        model: Model in eval mode.
        task: ``'detection'``, ``'instance'``, ``'semantic'`` or
            ``'mono3d'``.
        color: Channel order of the graph's input.
        inputs: Inputs of the graph for one image that fills its input.
        outputs: What the graph gives for them.

    Returns:
        See :func:`~lvt_dense.deploy.parity.compare_outputs`.
    """
    expected = predict_with_model(model, task, color, inputs)
    found = {name: outputs[name] for name in expected}
    if task == 'instance':
        shape = inputs['image'].shape[1:3]
        pasted = [
            paste_mask(mask, box, shape)
            for mask, box in zip(outputs['masks'][0], outputs['boxes'][0])
        ]
        found['masks'] = np.stack(pasted)[None]
    return compare_outputs(expected, found)


def predict_with_model(
    model: Any, task: str, color: str, inputs: Mapping[str, Tensor]
) -> Outputs:
    """Predict on one image by ``model.test_step``.

    Args:
        model: Model in eval mode.
        task: What it does.
        color: Channel order of the image.
        inputs: Inputs of the exported graph.

    Returns:
        The graph's outputs by name, with a batch dimension of one. Masks
        are those of the whole image, (1, D, H, W).
    """
    image = inputs['image'][0]
    if color == 'rgb' and image.shape[-1] == 3:
        image = image.flip(-1)
    sample = _sample(task, image.shape[:2])
    if 'camera' in inputs:
        sample.set_metainfo(dict(cam2img=inputs['camera'][0].numpy()))
    data = dict(
        inputs=[image.permute(2, 0, 1).contiguous()], data_samples=[sample]
    )
    with torch.no_grad():
        (found,) = model.test_step(data)
    return {
        name: value.cpu().numpy()[None]
        for name, value in _read(task, found).items()
    }


def _sample(task: str, shape: Any) -> BaseDataElement:
    size = tuple(map(int, shape))
    meta = dict(
        img_id=0,
        img_path='image.png',
        ori_shape=size,
        img_shape=size,
        pad_shape=size,
        scale_factor=(1.0, 1.0),
        border=np.array([0, size[0], 0, size[1]], np.float32),
    )
    if task == 'semantic':
        from mmseg.structures import SegDataSample

        return SegDataSample(metainfo=meta)
    from mmdet.structures import DetDataSample

    return DetDataSample(metainfo=meta)


def _read(task: str, sample: Any) -> dict[str, Tensor]:
    if task == 'semantic':
        return dict(labels=sample.pred_sem_seg.data[0])
    if task == 'mono3d':
        found = sample.pred_instances_3d
        return dict(
            boxes_3d=found.bboxes_3d,
            scores=found.scores_3d,
            labels=found.labels_3d,
            boxes=found.bboxes,
        )
    found = sample.pred_instances
    out = dict(boxes=found.bboxes, scores=found.scores, labels=found.labels)
    if task == 'instance':
        out['masks'] = found.masks
    return out
