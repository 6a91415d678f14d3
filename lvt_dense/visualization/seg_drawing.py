"""Pictures of label maps: colours, overlays, error maps, legends.

Every picture is (H, W, 3), RGB, uint8; every label map (H, W) of integers.
"""

from collections.abc import Sequence

import cv2
import numpy as np

IGNORED = 255
RIGHT = (225, 225, 225)
WRONG = (215, 25, 28)
UNLABELLED = (0, 0, 0)
_FONT = cv2.FONT_HERSHEY_SIMPLEX


def coloured(
    labels: np.ndarray, palette: Sequence[Sequence[int]]
) -> np.ndarray:
    """Colour of every label; black where none of the classes is."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[np.clip(labels, 0, IGNORED)]


def overlaid(
    image: np.ndarray,
    labels: np.ndarray,
    palette: Sequence[Sequence[int]],
    opacity: float,
) -> np.ndarray:
    """Mix an image with the colours of its labels.

    Args:
        image: The image.
        labels: Labels of the image's size; where there is no class, the
            image stays as it is.
        palette: A colour a class.
        opacity: Weight of the colours in [0, 1]; 0 leaves the image.
    """
    colour = coloured(labels, palette)
    mixed = (1.0 - opacity) * image + opacity * colour
    known = (labels < len(palette))[..., None]
    return np.where(known, np.rint(mixed), image).astype(np.uint8)


def error_map(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Light where the prediction is right, red where not, black if ignored."""
    picture = np.where(
        (predicted == truth)[..., None], np.uint8(RIGHT), np.uint8(WRONG)
    )
    picture[truth == IGNORED] = UNLABELLED
    return picture


def legend(
    classes: Sequence[str], palette: Sequence[Sequence[int]], width: int
) -> np.ndarray:
    """A strip of coloured squares with class names, as many rows as needed.

    Args:
        classes: Names.
        palette: Their colours.
        width: Width of the strip in pixels.

    Returns:
        The strip, (rows * 18, width, 3), on white; narrower than the longest
        name, the names are cut.
    """
    row, square, gap, scale = 18, 12, 6, 0.38
    rows: list[list[tuple]] = [[]]
    x = gap
    for name, colour in zip(classes, palette):
        (text_width, _), _ = cv2.getTextSize(name, _FONT, scale, 1)
        needed = square + text_width + 2 * gap
        if rows[-1] and x + needed > width:
            rows.append([])
            x = gap
        rows[-1].append((x, name, colour))
        x += needed
    strip = np.full((len(rows) * row, width, 3), 255, np.uint8)
    for i, entries in enumerate(rows):
        top = i * row + (row - square) // 2
        for x, name, colour in entries:
            corner = (x + square - 1, top + square - 1)
            cv2.rectangle(strip, (x, top), corner, list(map(int, colour)), -1)
            origin = (x + square + gap // 2, top + square - 2)
            cv2.putText(
                strip, name, origin, _FONT, scale, (0, 0, 0), 1, cv2.LINE_AA
            )
    return strip


def titled(picture: np.ndarray, title: str) -> np.ndarray:
    """A picture under a strip with its title."""
    strip = np.full((20, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, title, (4, 14), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)
    return np.concatenate([strip, picture])


def compared(
    image: np.ndarray,
    predicted: np.ndarray | None,
    truth: np.ndarray | None,
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
    opacity: float,
) -> np.ndarray:
    """Image, ground truth, prediction and errors side by side, and a legend.

    Args:
        image: The image.
        predicted: Predicted labels, or None.
        truth: True labels, or None; without either, the panel and that of
            the errors are left out.
        classes: Class names; the legend has those that occur.
        palette: Their colours.
        opacity: Weight of the colours over the image.
    """
    panels = [titled(image, 'image')]
    seen = set()
    for title, labels in (('ground truth', truth), ('prediction', predicted)):
        if labels is not None:
            seen |= set(np.unique(labels).tolist())
            picture = overlaid(image, labels, palette, opacity)
            panels.append(titled(picture, title))
    if truth is not None and predicted is not None:
        valid = truth != IGNORED
        right = (predicted == truth)[valid].mean() if valid.any() else 0.0
        panels.append(
            titled(error_map(predicted, truth), f'errors: {1 - right:.1%}')
        )
    sheet = np.concatenate(panels, axis=1)
    named = [i for i in range(len(classes)) if i in seen]
    if not named:
        return sheet
    strip = legend(
        [classes[i] for i in named], [palette[i] for i in named], len(sheet[0])
    )
    return np.concatenate([sheet, strip])
