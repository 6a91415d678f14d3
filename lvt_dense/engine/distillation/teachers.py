"""Teachers: networks in PyTorch, and exported files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from lvt_dense.config import load_config
from lvt_dense.datasets.metainfo import find_metainfo
from lvt_dense.engine.model_loading import load_model
from lvt_dense.runtime import InputError
from lvt_dense.runtime.sessions import OPENERS, Session, open_session
from lvt_dense.utils.errors import UserError

from .networks import EXPORTED, LOGITS, MAPS, SEGMENTER, run, task_of_network
from .normalization import ImageNorm, renormalize, to_pixels

Shapes = Sequence[Sequence[int]]


class NetworkTeacher:
    """A frozen network in eval mode.

    It is no module, so that neither optimizer nor checkpoint nor averaged
    weights see its parameters, and copies of the student share it.

    Args:
        network: Detector or segmenter with its weights.
        classes: Names of its classes; empty if they are not known.
        name: What it is called in messages.
    """

    def __init__(
        self, network: nn.Module, classes: Sequence[str], name: str
    ) -> None:
        self.network = network.eval().requires_grad_(False)
        self.classes, self.name = tuple(classes), name
        self.task = task_of_network(network)
        preprocessor: Any = network.data_preprocessor
        self.norm = ImageNorm.of(preprocessor)

    def __deepcopy__(self, memo: dict) -> 'NetworkTeacher':
        return self

    @property
    def size(self) -> str:
        """Its number of parameters, for messages."""
        count = sum(p.numel() for p in self.network.parameters())
        return f'{count / 1e6:.2f} M parameters'

    @torch.no_grad()
    def answer(
        self, what: str, images: Tensor, norm: ImageNorm, shapes: Shapes
    ) -> Any:
        """Compute what the student is to imitate.

        Args:
            what: ``features``, ``logits`` or ``maps``.
            images: Images as the student sees them, (N, 3, H, W).
            norm: The student's normalization.
            shapes: Height and width of each image without padding.

        Returns:
            See :func:`.networks.run`.
        """
        if next(self.network.parameters()).device != images.device:
            self.network.to(images.device)
        images = renormalize(images, norm, self.norm, shapes)
        return run(self.network, images, what)


class ExportedTeacher:
    """A file that ``lvt-dense export --raw`` wrote.

    Args:
        session: The file, opened.
        task: ``segmenter``, ``detector`` or ``monocular 3D detector``.

    Raises:
        UserError: The file gives final predictions only.
    """

    size = 'an exported file'

    def __init__(self, session: Session, task: str) -> None:
        self.session, self.task = session, task
        self.classes, self.name = tuple(session.info['classes']), session.name

    def __deepcopy__(self, memo: dict) -> 'ExportedTeacher':
        return self

    def answer(
        self, what: str, images: Tensor, norm: ImageNorm, shapes: Shapes
    ) -> Any:
        """Compute what the student is to imitate.

        Args:
            what: ``logits`` or ``maps``.
            images: Images as the student sees them, (N, 3, H, W).
            norm: The student's normalization.
            shapes: Height and width of each image without padding.

        Returns:
            The logits (N, C, h, w), or the maps as a flat list.

        Raises:
            UserError: The file does not give it.
        """
        if what not in (LOGITS, MAPS):
            raise UserError(
                f'distillation: {self.name} is an exported file, which '
                'returns no features: give CONFIG CHECKPOINT of the teacher'
            )
        if (what == LOGITS) != (self.task == SEGMENTER):
            raise UserError(
                f'distillation: {self.name} returns no {what}; its outputs '
                f'are those of a {self.task}'
            )
        found = self._run(self._feed(images, norm, shapes))
        tensors = [torch.from_numpy(v).to(images.device) for v in found]
        return tensors[0] if what == LOGITS else tensors

    def _feed(
        self, images: Tensor, norm: ImageNorm, shapes: Shapes
    ) -> dict[str, np.ndarray]:
        info = self.session.info
        wants_bgr = info.get('color', 'rgb') == 'bgr'
        pixels = to_pixels(images, norm, wants_bgr == norm.is_flipped)
        height, width = images.shape[-2:]
        size = tuple(info['size'] or (height, width))
        if size != (height, width):
            pixels = F.interpolate(
                pixels, size, mode='bilinear', align_corners=False
            )
        scale = np.array([size[0] / height, size[1] / width])
        feed = {
            'image': pixels.round()
            .clamp(0, 255)
            .to(torch.uint8)
            .permute(0, 2, 3, 1)
            .contiguous()
            .cpu()
            .numpy()
        }
        if 'size' in info.get('inputs', ()):
            sizes = np.array([tuple(s[:2]) for s in shapes]) * scale
            feed['size'] = sizes.round().astype(np.int64)
        return feed

    def _run(self, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        if self.session.info.get('batch', 1) is None:
            return list(self.session.run(feed).values())
        parts = []
        for i in range(len(feed['image'])):
            one = {name: value[i : i + 1] for name, value in feed.items()}
            parts.append(list(self.session.run(one).values()))
        return [np.concatenate(values) for values in zip(*parts)]


Teacher = NetworkTeacher | ExportedTeacher


def open_teacher(source: str, checkpoint: str | None) -> Teacher:
    """Open a teacher.

    Args:
        source: A config, or a file that ``lvt-dense export --raw`` wrote.
        checkpoint: Weights of the config's model.

    Raises:
        UserError: It does not exist, or cannot teach.
    """
    if is_exported_teacher(source):
        return _open_exported(source)
    cfg = load_config(source)
    scope = cfg.get('default_scope') or 'mmengine'
    with DefaultScope.overwrite_default_scope(scope):
        return load_network_teacher(cfg, str(checkpoint))


def is_exported_teacher(source: str) -> bool:
    """Tell by its suffix whether a teacher is an exported file."""
    return Path(source).suffix in OPENERS


def load_network_teacher(cfg: Config, checkpoint: str) -> NetworkTeacher:
    """Load the network of a config as a teacher."""
    if cfg.get('data_preprocessor'):
        cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    # Its random weights, soon replaced, must not change the student's.
    with torch.random.fork_rng(devices=[]):
        network = load_model(cfg, checkpoint)
    classes = find_metainfo(cfg, checkpoint).get('classes') or ()
    return NetworkTeacher(network, classes, Path(checkpoint).name)


def _open_exported(source: str) -> ExportedTeacher:
    try:
        session = open_session(source)
    except InputError as error:
        raise UserError(f'--teacher: {error}') from error
    task = session.info['task']
    if task != 'raw':
        raise UserError(
            f'--teacher {source} returns final predictions, but a teacher '
            'must return logits or maps: export it with --raw'
        )
    task = session.info.get('maps_of')
    if task is None:
        raise UserError(
            f'--teacher {source} was exported by an older version and does '
            'not name its task: export it again with --raw'
        )
    return ExportedTeacher(session, EXPORTED[task])
