"""Pictures of semantic segmentation, from data samples."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from mmengine.dist import master_only
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample
from mmseg.visualization import SegLocalVisualizer

from lvt_dense.registry import VISUALIZERS
from lvt_dense.utils.errors import UserError

from .seg_drawing import colorize, default_palette, draw_side_by_side, overlay


@VISUALIZERS.register_module()
class SegVisualizer(SegLocalVisualizer):
    """Draw image, ground truth, prediction and errors side by side.

    Next to the picture ``NAME.png``, :meth:`add_datasample` writes what other
    programs need of the prediction: ``NAME_labels.png`` (the labels, one
    channel), ``NAME_mask.png`` (in the colors of the data set) and
    ``NAME_overlay.png`` (over the image).

    Args:
        name: Name of the instance in MMEngine.
        alpha: Opacity of the colors over the image, in [0, 1].
        classes: Names of the classes, until the metainfo of a data set or a
            checkpoint takes their place.
        palette: Their colors.
        dataset_name: A data set that mmseg knows, instead of the two.
        **kwargs: As for mmseg's ``SegLocalVisualizer``.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        alpha: float = 0.6,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        dataset_name: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(name, alpha=alpha, **kwargs)
        # Not passed on: mmseg mixes the two up there.
        self.set_dataset_meta(classes, palette, dataset_name)

    @property
    def alpha(self) -> float:
        """Opacity of the colors over the image, in [0, 1]."""
        return self._alpha

    @alpha.setter
    def alpha(self, value: float) -> None:
        if not 0.0 <= value <= 1.0:
            raise UserError(
                f'opacity {value}: give a number from 0 (image alone) to 1 '
                '(colors alone)'
            )
        self._alpha = value

    def set_dataset_meta(
        self,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        dataset_name: str | None = None,
    ) -> None:
        """Set the names and the colors of the classes.

        Args:
            classes: Names; by default those of ``dataset_name``.
            palette: A color a class; classes without one get the palette
                that mmseg generates.
            dataset_name: A data set that mmseg knows; Cityscapes by default.
        """
        if classes and not palette:
            palette = default_palette(len(classes))
        super().set_dataset_meta(classes, palette, dataset_name)

    def _classes(self) -> tuple[Sequence[str], Sequence[Sequence[int]]]:
        """Return the names and colors of the classes."""
        meta = self.dataset_meta or {}
        classes = meta.get('classes') or ()
        return classes, meta.get('palette') or default_palette(len(classes))

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: SegDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        step: int = 0,
        with_labels: bool = True,
        with_image: bool = True,
    ) -> None:
        """Draw a sample.

        Args:
            name: Name of the picture in windows and backends.
            image: The original image, (H, W, 3), RGB, uint8.
            data_sample: ``gt_sem_seg`` and ``pred_sem_seg``, each optional,
                of the image's size.
            draw_gt: Draw the ground truth.
            draw_pred: Draw the prediction.
            show: Open a window.
            wait_time: Seconds until it closes; 0 waits for a key.
            out_file: Picture to write, with the three files of the
                prediction beside it; without it, the picture goes to the
                backends.
            step: Step that the backends record.
            with_labels: Name the classes in a legend.
            with_image: Show the image without colors too.
        """
        truth = _labels(data_sample, 'gt_sem_seg') if draw_gt else None
        predicted = _labels(data_sample, 'pred_sem_seg') if draw_pred else None
        classes, palette = self._classes()
        sheet = draw_side_by_side(
            image,
            predicted,
            truth,
            classes,
            palette,
            self.alpha,
            with_image,
            with_labels,
        )
        self.set_image(sheet)
        if show:
            self.show(sheet, win_name=name, wait_time=wait_time)
        if out_file is None:
            self.add_image(name, sheet, step)
            return
        _write(sheet, Path(out_file))
        if predicted is not None:
            stem = Path(out_file).with_suffix('')
            kind = np.uint8 if predicted.max(initial=0) < 256 else np.uint16
            mmcv.imwrite(predicted.astype(kind), f'{stem}_labels.png')
            _write(colorize(predicted, palette), f'{stem}_mask.png')
            mixed = overlay(image, predicted, palette, self.alpha)
            _write(mixed, f'{stem}_overlay.png')


def _labels(sample: SegDataSample | None, field: str) -> np.ndarray | None:
    data: PixelData | None = getattr(sample, field, None)
    return None if data is None else np.asarray(data.data.cpu())[0]


def _write(picture: np.ndarray, path: str | Path) -> None:
    mmcv.imwrite(picture[..., ::-1], str(path))
