"""Pictures of a test run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine import fileio
from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from lvt_dense.datasets.metainfo import (
    Metainfo,
    merge_metainfo,
    metainfo_of_checkpoint,
)
from lvt_dense.registry import HOOKS
from lvt_dense.visualization.draw import add_sample, draw_sample
from lvt_dense.visualization.pictures import check_targets, name_pictures


@HOOKS.register_module()
class PictureHook(Hook):
    """Draw every tested image, ground truth beside prediction.

    It serves detection, segmentation and monocular 3D: how a sample looks is
    the business of the config's visualizer. Visualizers draw in the first of
    several processes alone, so there the others' images are left out.

    MMDetection's and MMSegmentation's own tools turn it on with their
    arguments ``draw``, ``show``, ``wait_time`` and ``test_out_dir``.

    Args:
        show_dir: Folder of the pictures, which are named after the relative
            paths of their images.
        score_thr: Lowest score of an object that is drawn, in [0, 1].
        opacity: Weight of the color in overlays, in [0, 1]; None leaves the
            visualizer's own.
        draw: Without a folder, give the pictures to the visualizer's
            backends; also one image every ``interval`` steps in validation.
        interval: Number of validation steps from one image to the next.
        show: Open a window with each picture.
        wait_time: Seconds until the window closes; 0 waits for a key.
        test_out_dir: Folder of the pictures in the folder of the run,
            ``<work_dir>/<timestamp>``.
        backend_args: How MMEngine reads the images; None tells by the path.
    """

    def __init__(
        self,
        show_dir: str | None = None,
        score_thr: float = 0.3,
        opacity: float | None = None,
        draw: bool = False,
        interval: int = 50,
        show: bool = False,
        wait_time: float = 0.0,
        test_out_dir: str | None = None,
        backend_args: dict | None = None,
    ) -> None:
        self.show_dir = Path(show_dir) if show_dir else None
        self.score_thr = score_thr
        self.opacity = opacity
        self.draw = draw
        self.interval = interval
        self.show = show
        self.wait_time = wait_time
        self.test_out_dir = test_out_dir
        self.backend_args = backend_args
        self._names: dict[str, str] = {}
        self._trained: Metainfo = {}
        self._count = 0

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Note which classes the model was trained for."""
        self._trained = metainfo_of_checkpoint(checkpoint)

    def before_test(self, runner: Runner) -> None:
        """Name the pictures, and say so when only a part will be drawn.

        Raises:
            UserError: A picture would replace a file that is none of ours.
        """
        if self.test_out_dir and not self.show_dir:
            self.show_dir = Path(
                runner.work_dir, runner.timestamp, self.test_out_dir
            )
        self._name_classes(runner)
        if not self.show_dir:
            return
        if runner.world_size > 1:
            runner.logger.warning(
                f'{self.show_dir} will hold the images of the first of '
                f'{runner.world_size} processes; test in one process, or run '
                'lvt-dense visualize, to draw all'
            )
        dataset = runner.test_dataloader.dataset
        infos = [dataset.get_data_info(i) for i in range(len(dataset))]
        paths = [info['img_path'] for info in infos]
        names = name_pictures(paths)
        self._names = dict(zip(paths, names))
        if is_main_process():
            check_targets(self.show_dir, names, '--show-dir', paths)

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Give one image every ``interval`` steps to the backends."""
        step = runner.iter + batch_idx
        if self.draw and outputs and step % self.interval == 0:
            self._add(runner, outputs[0], 'val', step)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: dict | None = None,
        outputs: Sequence | None = None,
    ) -> None:
        """Draw the samples of a batch."""
        if not self.show_dir and not self.draw:
            return
        for sample in outputs or ():
            self._count += 1
            if self.show or not self.show_dir:
                self._add(runner, sample, 'test', self._count)
            if self.show_dir:
                self._save(runner, sample, self.show_dir)

    def _name_classes(self, runner: Runner) -> None:
        """Draw with the checkpoint's classes, and say where they differ."""
        known = dict(runner.visualizer.dataset_meta or {})
        merged = merge_metainfo(known, self._trained)
        runner.visualizer.dataset_meta = merged
        ours = tuple(merged.get('classes') or ())
        theirs = tuple(known.get('classes') or ())
        if theirs and ours != theirs:
            runner.logger.warning(
                f'the checkpoint was trained for the classes {list(ours)}, '
                f'and the test data have {list(theirs)}: metrics compare '
                'labels by their numbers'
            )

    def _save(self, runner: Runner, sample: Any, folder: Path) -> None:
        name = self._names.get(sample.img_path) or Path(sample.img_path).name
        draw_sample(
            self._visualizer(runner),
            self._read(sample),
            sample,
            folder / f'{name}.png',
            self.score_thr,
        )

    def _add(self, runner: Runner, sample: Any, mode: str, step: int) -> None:
        add_sample(
            self._visualizer(runner),
            f'{mode}_{Path(sample.img_path).stem}',
            self._read(sample),
            sample,
            show=self.show,
            wait_time=self.wait_time,
            pred_score_thr=self.score_thr,
            step=step,
        )

    def _visualizer(self, runner: Runner) -> Any:
        if self.opacity is not None:
            runner.visualizer.alpha = self.opacity
        return runner.visualizer

    def _read(self, sample: Any) -> np.ndarray:
        content = fileio.get(sample.img_path, backend_args=self.backend_args)
        return mmcv.imfrombytes(content, channel_order='rgb')
