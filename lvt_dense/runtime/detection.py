"""One object that a model has found."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .errors import InputError
from .masks import Mask, cut_mask


@dataclass
class Detection:
    """One object.

    Attributes:
        label: Name of its class.
        index: Index of its class.
        score: Confidence.
        box: x1, y1, x2, y2 in pixels of the image.
        pixels: Where the object is, from models with masks.
        box_3d: x, y, z of the center of the bottom face in meters in camera
            coordinates, length, height, width in meters, and yaw in radians,
            from monocular 3D models.
    """

    label: str
    index: int
    score: float
    box: np.ndarray
    pixels: Mask | None = None
    box_3d: np.ndarray | None = None

    @property
    def mask(self) -> np.ndarray | None:
        """Pixels of the object, (H, W) bool; None from models without."""
        return None if self.pixels is None else self.pixels.full()

    def as_dict(self) -> dict[str, Any]:
        """Return what JSON can hold; a mask in COCO's run-length code."""
        out: dict[str, Any] = dict(
            label=self.label,
            index=self.index,
            score=round(self.score, 5),
            box=[round(float(v), 2) for v in self.box],
        )
        if self.pixels is not None:
            out['mask_area'] = self.pixels.area
            out['mask'] = self.pixels.to_rle()
        if self.box_3d is not None:
            out['box_3d'] = [round(float(v), 4) for v in self.box_3d]
        return out


def to_supervision(
    found: Sequence[Detection] | np.ndarray, classes: Sequence[str] = ()
) -> Any:
    """Convert what was found in an image to ``supervision.Detections``.

    Its trackers and annotators take them from there. Names of the classes
    are in ``data['class_name']``. Of a label map each class that is there
    becomes one detection, with a mask and without a score.

    Args:
        found: Detections, or the class of each pixel, (H, W).
        classes: Names of the classes of a label map; pixels of other
            values are left out.

    Raises:
        InputError: The package supervision is not installed.
    """
    try:
        import supervision
    except ImportError as error:
        raise InputError(
            'the conversion needs supervision: pip install supervision'
        ) from error
    if isinstance(found, np.ndarray):
        found = _regions(found, classes)
    if not found:
        return supervision.Detections.empty()
    masks = [item.mask for item in found if item.mask is not None]
    scores = np.array([item.score for item in found], np.float32)
    return supervision.Detections(
        xyxy=np.array([item.box for item in found], np.float32),
        confidence=None if np.isnan(scores).any() else scores,
        class_id=np.array([item.index for item in found], int),
        mask=np.stack(masks) if masks else None,
        data=dict(class_name=np.array([item.label for item in found])),
    )


def _regions(labels: np.ndarray, classes: Sequence[str]) -> list[Detection]:
    """Return the pixels of each class that is in a label map."""
    regions = []
    for index in np.unique(labels).tolist():
        if 0 <= index < len(classes):
            mask = cut_mask(labels == index)
            (x, y), (height, width) = mask.corner, mask.part.shape
            box = np.array([x, y, x + width, y + height], float)
            name = classes[index]
            regions.append(Detection(name, index, float('nan'), box, mask))
    return regions
