"""Classes of well-known data sets whose files do not name them."""

from collections.abc import Iterable
from pathlib import Path

from .labeled_data import MaskClass

# Name, id in labelIds and color; the order is that of labelTrainIds. From
# Cityscapes' own scripts (cityscapesscripts/helpers/labels.py).
_CITYSCAPES = (
    ('road', 7, (128, 64, 128)),
    ('sidewalk', 8, (244, 35, 232)),
    ('building', 11, (70, 70, 70)),
    ('wall', 12, (102, 102, 156)),
    ('fence', 13, (190, 153, 153)),
    ('pole', 17, (153, 153, 153)),
    ('traffic light', 19, (250, 170, 30)),
    ('traffic sign', 20, (220, 220, 0)),
    ('vegetation', 21, (107, 142, 35)),
    ('terrain', 22, (152, 251, 152)),
    ('sky', 23, (70, 130, 180)),
    ('person', 24, (220, 20, 60)),
    ('rider', 25, (255, 0, 0)),
    ('car', 26, (0, 0, 142)),
    ('truck', 27, (0, 0, 70)),
    ('bus', 28, (0, 60, 100)),
    ('train', 31, (0, 80, 100)),
    ('motorcycle', 32, (0, 0, 230)),
    ('bicycle', 33, (119, 11, 32)),
)
_LAST_ID = 33
# The values of the trimaps of the Oxford-IIIT pets, of which the third one is
# the border that is not classified.
_TRIMAP = (('background', 2), ('foreground', 1), ('void', 3))


def known_table(
    masks: Iterable[Path],
) -> tuple[list[MaskClass], str] | None:
    """Find the classes of masks by the names of their files.

    Returns:
        The classes, and what they are those of.
    """
    masks = list(masks)
    if masks and all(p.stem.endswith('_labelIds') for p in masks):
        used = {number for _, number, _ in _CITYSCAPES}
        void = [MaskClass('void', v) for v in range(_LAST_ID + 1)
                if v not in used]  # fmt: skip
        named = [MaskClass(n, v, c) for n, v, c in _CITYSCAPES]
        return named + void, "Cityscapes' labelIds; the others do not count"
    if masks and all(p.stem.endswith('_labelTrainIds') for p in masks):
        named = [MaskClass(n, i, c) for i, (n, _, c) in enumerate(_CITYSCAPES)]
        return named, "Cityscapes' labelTrainIds"
    if masks and all(p.parent.name.lower() == 'trimaps' for p in masks):
        return [MaskClass(n, v) for n, v in _TRIMAP], 'trimaps of pets'
    return None
