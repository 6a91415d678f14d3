"""Ten pictures of what the network is fed, at the start of a training."""

import logging
from pathlib import Path
from typing import Any

import cv2
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from mmengine.visualization import LocalVisBackend, Visualizer

from lvt_dense.engine.train_samples import (
    SampleDrawer,
    describe_sample,
    kept_random_state,
    spread,
)
from lvt_dense.registry import HOOKS
from lvt_dense.utils.files import write_atomically
from lvt_dense.visualization.train_samples import (
    caption,
    draw_train_sample,
)

FOLDER = 'train_pictures'


@HOOKS.register_module()
class TrainPicturesHook(Hook):
    """Draw images and labels as the training pipeline makes them.

    The pictures go into ``train_pictures`` of the work directory, and to the
    backends of the visualizer, such as TensorBoard. The random numbers of
    the training stay as they are without the hook.

    Args:
        number: Number of pictures, spread over the data set.
    """

    def __init__(self, number: int = 10) -> None:
        self.number = number

    def before_train(self, runner: Runner) -> None:
        """Draw them, in the first process, unless the training is resumed."""
        if runner.rank or runner.iter:
            return
        folder = Path(runner.work_dir, FOLDER)
        try:
            with kept_random_state(seed=0):
                self._draw(runner, folder)
        except Exception as error:  # a data set of others, of any form
            print_log(
                f'no pictures of the training images: {error!r}',
                logger='current',
                level=logging.WARNING,
            )
        else:
            print_log(
                f'training images after augmentation: {folder}',
                logger='current',
            )

    def _draw(self, runner: Runner, folder: Path) -> None:
        dataset = runner.train_dataloader.dataset
        meta: dict[str, Any] = dataset.metainfo
        drawer = SampleDrawer(dataset)
        for number, index in enumerate(spread(len(dataset), self.number)):
            found = drawer.draw(index)
            if found is None:
                continue
            picture = draw_train_sample(
                found.image,
                found.sample,
                meta.get('classes') or (),
                meta.get('palette') or (),
            )
            picture = caption(picture, describe_sample(found))
            name = f'{number}_{Path(found.path).stem}.jpg'
            write_atomically(folder / name, encode(picture), sync=False)
            if has_remote_backend(runner.visualizer):
                runner.visualizer.add_image(f'train/{number}', picture)


def has_remote_backend(visualizer: Visualizer) -> bool:
    """Whether pictures go anywhere but to the work directory."""
    backends = visualizer._vis_backends.values()
    return any(not isinstance(b, LocalVisBackend) for b in backends)


def encode(picture: Any) -> bytes:
    """Encode a picture (H, W, 3), RGB, as JPEG."""
    return cv2.imencode('.jpg', picture[..., ::-1])[1].tobytes()
