"""A PyTorch model in the place of an exported one, to predict with."""

from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from lvt_dense.datasets.metainfo import find_metainfo
from lvt_dense.runtime import Session
from lvt_dense.utils.errors import UserError

from .graph import build_graph
from .metadata import describe_model, test_resize
from .reference import predict_with_model

_COLOR = 'rgb'


def open_pytorch(
    model: nn.Module, cfg: Config, checkpoint: str, task: str, device: str
) -> Session:
    """Return what runs a model as its exported graph would run.

    A model that has no exported graph predicts by its own ``test_step``, on
    one image at a time.

    Args:
        model: Detector or segmenter in eval mode, on the device.
        cfg: Its config.
        checkpoint: File of its weights.
        task: What it does.
        device: As in PyTorch.

    Raises:
        UserError: The config has no test pipeline.
    """
    metainfo = find_metainfo(cfg, checkpoint)
    info = describe_model(cfg, checkpoint, task, metainfo, _COLOR, None)
    padded = test_resize(cfg)['resize'] == 'fit'
    try:
        graph: Any = build_graph(model, cfg, _COLOR, padded=padded).to(device)
    except UserError:
        names = ['image', 'size', *(['camera'] if task == 'mono3d' else [])]
        info.update(inputs=names, batch=1)
        return Session(_Steps(model, task), info, checkpoint)
    # The suppression of 3D boxes is that of one image.
    batch = 1 if task == 'mono3d' else None
    info.update(inputs=list(graph.inputs), batch=batch)
    return Session(_Graph(graph, device), info, checkpoint)


class _Graph:
    def __init__(self, graph: Any, device: str) -> None:
        self.graph, self.device = graph, device

    @torch.no_grad()
    def __call__(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        values = [
            torch.from_numpy(feed[name]).to(self.device)
            for name in self.graph.inputs
        ]
        found = [value.cpu().numpy() for value in self.graph(*values)]
        return dict(zip(self.graph.outputs, found))


class _Steps:
    def __init__(self, model: nn.Module, task: str) -> None:
        self.model, self.task = model, task

    def __call__(self, feed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        height, width = (int(side) for side in feed['size'][0])
        inputs = {k: torch.from_numpy(v) for k, v in feed.items()}
        inputs['image'] = inputs['image'][:, :height, :width]
        found = predict_with_model(self.model, self.task, _COLOR, inputs)
        if 'masks' in found:
            found['image_masks'] = found.pop('masks')
        return found
