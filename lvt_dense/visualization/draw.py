"""Draw one data sample with whatever visualizer a config names."""

import inspect
import tempfile
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from mmengine.config import Config
from mmengine.registry import VISUALIZERS
from mmengine.visualization import Visualizer

from lvt_dense.utils.config_class import find_class
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically

from .pictures import mark_png

NO_VISUALIZER = (
    'the config has no visualizer; set e.g. '
    "visualizer=dict(type='lvt_dense.DetVisualizer')"
)


def build_visualizer(cfg: Config) -> Visualizer:
    """Build the visualizer of a config for pictures outside of a run.

    MMEngine keeps one visualizer for each name. Under the name in the config
    a run would find this one, which writes no logs.

    Raises:
        UserError: The config has none.
    """
    if cfg.get('visualizer') is None:
        raise UserError(NO_VISUALIZER)
    use_fast_drawing(cfg)
    name = f'pictures_{uuid4().hex}'
    return VISUALIZERS.build(
        dict(cfg.visualizer, vis_backends=None, name=name)
    )


def use_fast_drawing(cfg: Config) -> None:
    """Draw with ours in the place of MMDetection's visualizer.

    That one takes seconds for an image of many objects.

    Args:
        cfg: Config; changed in place.
    """
    try:
        from mmdet.visualization import DetLocalVisualizer
    except ImportError:
        return
    visualizer = cfg.get('visualizer')
    if visualizer and (
        find_class(VISUALIZERS, visualizer) is DetLocalVisualizer
    ):
        visualizer['type'] = 'lvt_dense.DetVisualizer'


def draw_sample(
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
        raise UserError(NO_VISUALIZER)
    known = inspect.signature(visualizer.add_datasample).parameters
    options = {key: value for key, value in options.items() if key in known}
    visualizer.add_datasample(name, image, sample, **options)
