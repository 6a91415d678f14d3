"""Draw one data sample with whatever visualizer a config names."""

import inspect
from pathlib import Path

import numpy as np
from mmengine.visualization import Visualizer

from lvt_dense.errors import UserError


def save_picture(
    visualizer: Visualizer,
    image: np.ndarray,
    sample: object,
    path: Path,
    score_thr: float = 0.3,
    draw_gt: bool = True,
) -> None:
    """Draw the ground truth beside the prediction, or the latter alone.

    Args:
        visualizer: Any of MMDetection's, MMSegmentation's and ours.
        image: The original image, (H, W, 3), RGB, uint8.
        sample: Data sample with predictions in the original image's frame.
        path: Picture to write; its folder is created.
        score_thr: Lowest score of an object that is drawn.
        draw_gt: Whether the sample has ground truth to be drawn.

    Raises:
        UserError: The visualizer is MMEngine's own, which draws no samples.
    """
    if type(visualizer) is Visualizer:
        raise UserError(
            'the config has no visualizer; set e.g. '
            "visualizer=dict(type='DetLocalVisualizer')"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    options = dict(
        draw_gt=draw_gt,
        draw_pred=True,
        show=False,
        out_file=str(path),
        pred_score_thr=score_thr,
    )
    known = inspect.signature(visualizer.add_datasample).parameters
    visualizer.add_datasample(
        path.stem,
        image,
        sample,
        **{key: value for key, value in options.items() if key in known},
    )
