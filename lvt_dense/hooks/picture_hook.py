"""Pictures of a test run."""

from collections.abc import Sequence
from pathlib import Path

import mmcv
from mmengine.hooks import Hook
from mmengine.runner import Runner

from lvt_dense.registry import HOOKS
from lvt_dense.visualization.draw import save_picture


@HOOKS.register_module()
class PictureHook(Hook):
    """Draws every tested image, ground truth beside prediction.

    It serves detection, segmentation and monocular 3D: how a sample looks is
    the business of the config's visualizer. Visualizers draw in the first of
    several processes alone, so there the others' images are left out.

    Args:
        show_dir: Folder of the pictures; None draws nothing.
        score_thr: Lowest score of an object that is drawn, in [0, 1].
        opacity: Weight of the colour in overlays, in [0, 1]; None leaves the
            visualizer's own.
    """

    def __init__(
        self,
        show_dir: str | None = None,
        score_thr: float = 0.3,
        opacity: float | None = None,
    ) -> None:
        self.show_dir = show_dir and Path(show_dir)
        self.score_thr = score_thr
        self.opacity = opacity

    def before_test(self, runner: Runner) -> None:
        """Say so when only a part will be drawn."""
        if self.show_dir and runner.world_size > 1:
            runner.logger.warning(
                f'{self.show_dir} will hold the images of the first of '
                f'{runner.world_size} processes; test in one process, or run '
                'lvt-dense visualize, to draw all'
            )

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Draw the samples of a batch."""
        if not self.show_dir:
            return
        if self.opacity is not None:
            runner.visualizer.alpha = self.opacity
        for sample in outputs:
            path = Path(sample.img_path)
            image = mmcv.imread(str(path), channel_order='rgb')
            save_picture(
                runner.visualizer,
                image,
                sample,
                self.show_dir / f'{path.stem}.png',
                self.score_thr,
            )
