"""Draw 3D boxes on the image and in a bird's eye view."""

import math
from collections.abc import Sequence
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dist import master_only
from mmengine.structures import BaseDataElement, InstanceData
from mmengine.visualization import Visualizer

from lvt_dense.registry import VISUALIZERS
from lvt_dense.structures import (
    FRONT_FACE,
    NEAR_PLANE,
    boxes_to_corners,
    move_camera,
    project_edges,
    project_points,
    resize_matrix,
)

Color = tuple[int, int, int]

# RGB. Ground truth and predictions differ in lightness too, so that they
# can be told apart without seeing colors.
TRUTH_COLOR: Color = (120, 255, 80)
PREDICTION_COLOR: Color = (255, 70, 160)
_GROUND: Color = (24, 26, 32)
_RING: Color = (82, 88, 100)
_RING_TEXT: Color = (170, 176, 188)
_BLACK: Color = (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX

# The corners of the bottom face, in order around it from the front left.
_BOTTOM_FACE = (0, 1, 3, 2)


@VISUALIZERS.register_module()
class Mono3DVisualizer(Visualizer):
    """Draw the samples of monocular 3D detectors.

    On the left is the image with the 3D boxes, their front face tinted; on
    the right the same boxes from above, the front as a thick line, with a
    ring for every 10 m of distance. Ground truth and predictions differ in
    color. Predictions are labeled with class and score, ground truth with
    the class.

    Args:
        name: Name under which MMEngine keeps the instance.
        max_range: Distance in meters that the view from above shows.
        min_height: Smallest height of the picture in pixels. Smaller images
            are enlarged before drawing, so that labels stay legible.
        **kwargs: Arguments of :class:`mmengine.visualization.Visualizer`.
    """

    def __init__(
        self,
        name: str = 'visualizer',
        max_range: float = 70.0,
        min_height: int = 560,
        **kwargs: Any,
    ) -> None:
        super().__init__(name=name, **kwargs)
        self.max_range = max_range
        self.min_height = min_height

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: BaseDataElement | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a sample, and show or write the picture.

        Args:
            name: Title of the window or of the logged image.
            image: (H, W, 3), RGB, uint8; the original image or the
                network's, which the sample's shapes tell apart.
            data_sample: Holds gt_instances_3d and pred_instances_3d, as far
                as they are there, and its metainfo the camera.
            draw_gt: Whether to draw the ground truth.
            draw_pred: Whether to draw the predictions.
            show: Open a window, for wait_time seconds.
            wait_time: Seconds that the window stays; 0 waits for a key.
            out_file: Write the picture there instead of logging it.
            pred_score_thr: Lowest score of a prediction that is drawn.
            step: Step of the training, for the log.
        """
        height, width = image.shape[:2]
        scale = max(1.0, self.min_height / height)
        size = round(width * scale), round(height * scale)
        canvas = mmcv.imresize(image, size)
        pixel_map = resize_matrix(size[0] / width, size[1] / height)
        above = _BirdsEye(canvas.shape[0], self.max_range)
        groups = []
        if data_sample is not None:
            groups = self._groups(
                data_sample, draw_gt, draw_pred, pred_score_thr
            )
            camera = move_camera(
                _camera_of(data_sample, (height, width)), pixel_map
            )
            above.draw_view(camera, canvas.shape[1])
        for boxes, texts, color in groups:
            _draw_boxes(canvas, boxes, texts, color, camera)
            above.draw_boxes(boxes, color)
        _draw_legend(above.canvas)
        picture = np.concatenate((canvas, above.canvas), 1)
        self.set_image(picture)
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(picture[..., ::-1], out_file)
        else:
            self.add_image(name, picture, step)

    def _groups(
        self,
        sample: BaseDataElement,
        draw_gt: bool,
        draw_pred: bool,
        threshold: float,
    ) -> list[tuple[torch.Tensor, list[str], Color]]:
        groups = []
        if draw_gt and 'gt_instances_3d' in sample:
            truths = sample.gt_instances_3d.cpu()
            groups.append((truths.bboxes_3d, self._texts(truths), TRUTH_COLOR))
        if draw_pred and 'pred_instances_3d' in sample:
            found = sample.pred_instances_3d.cpu()
            found = found[found.scores_3d >= threshold]
            groups.append(
                (found.bboxes_3d, self._texts(found), PREDICTION_COLOR)
            )
        return groups

    def _texts(self, instances: InstanceData) -> list[str]:
        classes = (self.dataset_meta or {}).get('classes')
        labels = instances.labels_3d.tolist()
        names = [
            classes[i] if classes and i < len(classes) else str(i)
            for i in labels
        ]
        if 'scores_3d' not in instances:
            return names
        scores = instances.scores_3d.tolist()
        return [f'{n} {score:.2f}' for n, score in zip(names, scores)]


def _camera_of(
    sample: BaseDataElement,
    shape: tuple[int, int],
) -> np.ndarray:
    """Find the camera (4, 4) of an image of this height and width."""
    meta = sample.metainfo
    own = tuple(meta.get('img_shape', shape)[:2]) == tuple(shape)
    key = 'cam2img' if own or 'ori_cam2img' not in meta else 'ori_cam2img'
    camera = np.eye(4)
    matrix = np.asarray(meta[key])
    camera[: len(matrix)] = matrix
    return camera


def _draw_boxes(
    canvas: np.ndarray,
    boxes: torch.Tensor,
    texts: Sequence[str],
    color: Color,
    camera: np.ndarray,
) -> None:
    """Draw boxes (N, 7) on an image, the nearest last."""
    boxes = boxes.detach().double()
    captions = []
    segments, visible = project_edges(boxes, camera)
    fronts = project_points(boxes_to_corners(boxes)[:, FRONT_FACE, :], camera)
    order = boxes[:, 2].argsort(descending=True).tolist()
    for i in order:
        if not visible[i].any():
            continue
        if (fronts[i, :, 2] >= NEAR_PLANE).all():
            _tint(canvas, fronts[i, :, :2].numpy(), color)
        ends = segments[i][visible[i]].numpy()
        for start, stop in ends:
            _line(canvas, start, stop, color, 2)
        points = ends.reshape(-1, 2)
        left, top = points.min(0)
        # Ground truth is named below its box, so that both can be read.
        is_truth = color == TRUTH_COLOR
        place = points[:, 1].max() + 16 if is_truth else top
        captions.append((texts[i], (left, place)))
    for text, corner in captions:
        _text_box(canvas, text, corner, color)


def _tint(canvas: np.ndarray, polygon: np.ndarray, color: Color) -> None:
    """Lay a half transparent polygon (K, 2) over an image."""
    height, width = canvas.shape[:2]
    low = np.floor(polygon.min(0)).clip(0, (width, height)).astype(int)
    high = np.ceil(polygon.max(0)).clip(0, (width, height)).astype(int)
    part = canvas[low[1] : high[1], low[0] : high[0]]
    if not part.size:
        return
    mask = np.zeros(part.shape[:2], np.uint8)
    corners = (polygon - low).clip(-1e4, 1e4).round().astype(np.int32)
    cv2.fillConvexPoly(mask, corners, 1)
    mixed = 0.7 * part + 0.3 * np.array(color)
    part[mask > 0] = mixed[mask > 0].astype(np.uint8)


def _line(
    canvas: np.ndarray,
    start: Sequence[float] | np.ndarray,
    stop: Sequence[float] | np.ndarray,
    color: Color,
    thickness: int,
) -> None:
    ends = np.round([start, stop]).astype(np.int64).tolist()
    height, width = canvas.shape[:2]
    # Ends near the camera can lie further off than OpenCV's numbers reach.
    inside, first, last = cv2.clipLine((0, 0, width, height), *ends)
    if inside:
        cv2.line(canvas, first, last, color, thickness, cv2.LINE_AA)


def _text_box(
    canvas: np.ndarray, text: str, corner: Sequence[float], color: Color
) -> None:
    """Write black on a colored patch at its lower left corner.

    A corner outside the image moves to its edge.
    """
    (width, height), base = cv2.getTextSize(text, _FONT, 0.45, 1)
    width, height = width + 4, height + base + 2
    right, bottom = canvas.shape[1] - width, canvas.shape[0] - 1
    x = int(np.clip(corner[0], 0, max(right, 0)))
    y = int(np.clip(corner[1], height, max(bottom, height)))
    cv2.rectangle(canvas, (x, y - height), (x + width, y), color, -1)
    place = x + 2, y - base
    cv2.putText(canvas, text, place, _FONT, 0.45, _BLACK, 1, cv2.LINE_AA)


class _BirdsEye:
    """A square picture of the ground, the camera at its bottom center."""

    def __init__(self, size: int, max_range: float) -> None:
        self.canvas = np.full((size, size, 3), _GROUND, np.uint8)
        self.max_range = max_range
        # The topmost ring stays inside the picture, with room for its text.
        self.scale = (size - 24) / max_range
        self.origin = size // 2, size - 6
        self._draw_rings()

    def to_pixels(self, points: np.ndarray) -> np.ndarray:
        """Compute the pixels of points (..., 2), x and z in meters."""
        return np.array(self.origin) + points * (self.scale, -self.scale)

    def draw_view(self, camera: np.ndarray, width: int) -> None:
        """Draw the sides of what the camera (4, 4) sees."""
        for u in (0, width - 1):
            slope = (u - camera[0, 2]) / camera[0, 0]
            side = np.array([slope, 1]) * 2 * self.max_range
            _line(self.canvas, self.origin, self.to_pixels(side), _RING, 1)

    def draw_boxes(self, boxes: torch.Tensor, color: Color) -> None:
        """Draw the outlines of boxes (N, 7)."""
        corners = boxes_to_corners(boxes.detach().double())
        outlines = self.to_pixels(
            corners[:, _BOTTOM_FACE][..., [0, 2]].numpy()
        )
        for outline in outlines:
            for i in range(4):
                is_front = i == 0
                _line(
                    self.canvas,
                    outline[i],
                    outline[(i + 1) % 4],
                    color,
                    3 if is_front else 1,
                )

    def _draw_rings(self) -> None:
        for distance in range(10, math.floor(self.max_range) + 1, 10):
            radius = round(distance * self.scale)
            cv2.circle(self.canvas, self.origin, radius, _RING, 1, cv2.LINE_AA)
            place = self.origin[0] + 4, self.origin[1] - radius - 3
            cv2.putText(
                self.canvas,
                f'{distance} m',
                place,
                _FONT,
                0.38,
                _RING_TEXT,
                1,
                cv2.LINE_AA,
            )


def _draw_legend(canvas: np.ndarray) -> None:
    _text_box(canvas, 'ground truth', (6, 24), TRUTH_COLOR)
    _text_box(canvas, 'prediction', (6, 46), PREDICTION_COLOR)
