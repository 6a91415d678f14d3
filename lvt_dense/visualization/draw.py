"""Draw one data sample with whatever visualizer a config names."""

import inspect
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.visualization import Visualizer

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

from .pictures import mark_png


def save_picture(
    visualizer: Visualizer,
    image: np.ndarray,
    sample: object,
    path: Path,
    score_thr: float = 0.3,
    draw_gt: bool = True,
    draw_pred: bool = True,
) -> None:
    """Draw the ground truth beside the prediction, or the latter alone.

    Args:
        visualizer: Any of MMDetection's, MMSegmentation's and ours.
        image: The original image, (H, W, 3), RGB, uint8.
        sample: Data sample with predictions in the original image's frame.
        path: Picture to write, ``.png``; its folder is created. It is there
            whole or not at all, and so are files beside it that the
            visualizer writes.
        score_thr: Lowest score of an object that is drawn.
        draw_gt: Whether the sample has ground truth to be drawn.
        draw_pred: Whether it has a prediction to be drawn.

    Raises:
        UserError: The visualizer is MMEngine's own, which draws no samples.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory() as folder:
        add_sample(
            visualizer,
            path.stem,
            image,
            sample,
            draw_gt=draw_gt,
            draw_pred=draw_pred,
            show=False,
            out_file=str(Path(folder, path.name)),
            pred_score_thr=score_thr,
        )
        for written in Path(folder).iterdir():
            content = mark_png(written.read_bytes())
            write_atomically(path.with_name(written.name), content)


def add_sample(
    visualizer: Visualizer,
    name: str,
    image: np.ndarray,
    sample: object,
    **options: Any,
) -> None:
    """Call ``add_datasample`` with those of the options that it takes.

    Args:
        visualizer: Any of MMDetection's, MMSegmentation's and ours.
        name: Name of the picture.
        image: The original image, (H, W, 3), RGB, uint8.
        sample: Data sample.
        **options: Arguments, such as ``pred_score_thr``, that not every
            visualizer knows.

    Raises:
        UserError: The visualizer is MMEngine's own, which draws no samples.
    """
    if type(visualizer) is Visualizer:
        raise UserError(
            'the config has no visualizer; set e.g. '
            "visualizer=dict(type='DetLocalVisualizer')"
        )
    known = inspect.signature(visualizer.add_datasample).parameters
    options = {key: value for key, value in options.items() if key in known}
    visualizer.add_datasample(name, image, sample, **options)
