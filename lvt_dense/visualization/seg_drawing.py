"""Pictures of label maps: colors, overlays, error maps, legends.

Every picture is (H, W, 3), RGB, uint8; every label map (H, W) of integers.
Label 255 means that a pixel does not count, unless a class has that number.
"""

from collections.abc import Sequence

import cv2
import numpy as np

IGNORED = 255
RIGHT = (225, 225, 225)
WRONG = (215, 25, 28)
UNLABELED = (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def default_palette(num_classes: int) -> list[list[int]]:
    """Return colors for classes that have none: those that mmseg generates."""
    generator = np.random.RandomState(42)
    return generator.randint(0, 255, size=(num_classes, 3)).tolist()


def colorize(
    labels: np.ndarray, palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """Color every label; black where none of the classes is."""
    table = np.zeros((max(256, len(palette) + 1), 3), np.uint8)
    table[: len(palette)] = palette
    return table[np.clip(labels, 0, len(table) - 1)]


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    palette: Sequence[Sequence[int]],
    opacity: float,
) -> np.ndarray:
    """Mix an image with the colors of its labels.

    Args:
        image: The image.
        labels: Labels of the image's size; where there is no class, the
            image stays as it is.
        palette: A color a class.
        opacity: Weight of the colors in [0, 1]; 0 leaves the image.
    """
    color = colorize(labels, palette)
    mixed = (1.0 - opacity) * image + opacity * color
    known = (labels < len(palette))[..., None]
    return np.where(known, np.rint(mixed), image).astype(np.uint8)


def draw_errors(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Draw right pixels light, wrong ones red, ignored ones black."""
    right, wrong = np.array([RIGHT, WRONG], np.uint8)
    picture = np.where((predicted == truth)[..., None], right, wrong)
    picture[truth == IGNORED] = UNLABELED
    return picture


def draw_legend(
    classes: Sequence[str], palette: Sequence[Sequence[int]], width: int
) -> np.ndarray:
    """Draw a strip of colored squares with the names of the classes.

    Args:
        classes: Names.
        palette: Their colors.
        width: Width of the strip in pixels.

    Returns:
        The strip, (rows * 18, width, 3), on white, with as many rows as are
        needed. A name that is wider than the strip is cut.
    """
    row, square, gap, scale = 18, 12, 6, 0.38
    rows: list[list[tuple]] = [[]]
    x = gap
    for name, color in zip(classes, palette):
        (text_width, _), _ = cv2.getTextSize(name, _FONT, scale, 1)
        needed = square + text_width + 2 * gap
        if rows[-1] and x + needed > width:
            rows.append([])
            x = gap
        rows[-1].append((x, name, color))
        x += needed
    strip = np.full((len(rows) * row, width, 3), 255, np.uint8)
    for i, entries in enumerate(rows):
        top = i * row + (row - square) // 2
        for x, name, color in entries:
            corner = (x + square - 1, top + square - 1)
            cv2.rectangle(strip, (x, top), corner, list(map(int, color)), -1)
            origin = (x + square + gap // 2, top + square - 2)
            cv2.putText(
                strip, name, origin, _FONT, scale, (0, 0, 0), 1, cv2.LINE_AA
            )
    return strip


def add_title(picture: np.ndarray, title: str) -> np.ndarray:
    """Put a strip with a title above a picture."""
    strip = np.full((20, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, title, (4, 14), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, picture])


def draw_side_by_side(
    image: np.ndarray,
    predicted: np.ndarray | None,
    truth: np.ndarray | None,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    opacity: float,
    with_image: bool = True,
    with_labels: bool = True,
) -> np.ndarray:
    """Draw image, truth, prediction and errors side by side, and a legend.

    Args:
        image: The image.
        predicted: Predicted labels, or None.
        truth: True labels, or None; without either, the panel and that of
            the errors are left out.
        classes: Class names; the legend has those that occur.
        palette: Their colors.
        opacity: Weight of the colors over the image.
        with_image: Begin with the image as it is. Without labels to draw it
            is shown in any case.
        with_labels: End with the legend.
    """
    panels, seen = [], set()
    for title, labels in (('ground truth', truth), ('prediction', predicted)):
        if labels is not None:
            seen |= set(np.unique(labels).tolist())
            picture = overlay(image, labels, palette, opacity)
            panels.append(add_title(picture, title))
    if with_image or not panels:
        panels.insert(0, add_title(image, 'image'))
    if truth is not None and predicted is not None:
        valid = truth != IGNORED
        right = (predicted == truth)[valid].mean() if valid.any() else 0.0
        errors = draw_errors(predicted, truth)
        panels.append(add_title(errors, f'errors: {1 - right:.1%}'))
    sheet = np.concatenate(panels, axis=1)
    named = [i for i in range(len(classes)) if i in seen]
    if not named or not with_labels:
        return sheet
    strip = draw_legend(
        [classes[i] for i in named], [palette[i] for i in named], len(sheet[0])
    )
    return np.concatenate([sheet, strip])
