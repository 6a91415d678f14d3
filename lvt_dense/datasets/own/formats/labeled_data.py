"""What every layout is read into: images, objects, masks, classes."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from lvt_dense.datasets.kitti.labels import KittiObjects
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import compose

SPLITS = ('train', 'val', 'test')
ALL = 'all'  # images of a data set without splits
EXACT = 1000  # how surely the path in a label names an image


@dataclass(slots=True)
class Object:
    """A labeled object.

    Attributes:
        label: Index into the classes.
        bbox: Left, top, width and height in pixels of the upright image.
        segmentation: Polygons (x, y, x, y, ...) as arrays or lists, COCO's
            compressed run lengths, or None.
        is_crowd: Whether it stands for a group, or is too difficult to
            count: neither learned nor scored.
        area: Area in pixels; None is that of the box.
        source: Where the label stands, for messages.
    """

    label: int
    bbox: tuple[float, float, float, float]
    segmentation: list[list[float]] | dict | None = None
    is_crowd: bool = False
    area: float | None = None
    source: str | int = ''


@dataclass(slots=True)
class Sample:
    """An image and its labels.

    Attributes:
        path: Image file.
        width: Width in pixels as the labels see it; 0 if they do not say.
        height: Height in pixels, likewise.
        objects: Labeled objects.
        mask: File of the label map, for semantic segmentation.
        pixels: Pixels of every label of the mask; -1 for those that do not
            count.
        name: The image as its label names it, for messages.
        strength: How surely it is the image that the label names; see
            :class:`.tree.Match`.
        image_id: Number of the image in the user's own file, if any.
        orientation: EXIF's rotation of the image, 1 for upright.
    """

    path: Path
    width: int = 0
    height: int = 0
    objects: list[Object] = field(default_factory=list)
    mask: Path | None = None
    pixels: Counter = field(default_factory=Counter)
    name: str = ''
    strength: int = EXACT
    image_id: int | None = None
    orientation: int = 1


class Findings:
    """Remarks of one kind counted together, with the first example."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, list[str]]] = {}

    def add(self, kind: str, example: object, count: int = 1) -> None:
        """Count a remark.

        Args:
            kind: What was found, in the plural.
            example: Where.
            count: How many there are.
        """
        old, examples = self._found.get(kind, (0, []))
        if len(examples) < 3:
            examples.append(str(example))
        self._found[kind] = (old + count, examples)

    def count(self, kind: str) -> int:
        """Return how often a remark was made."""
        return self._found.get(kind, (0, []))[0]

    def lines(self) -> list[str]:
        """Return one line a kind."""
        return [
            f'{count} {kind}: {", ".join(examples)}'
            + (', ...' if count > len(examples) else '')
            for kind, (count, examples) in self._found.items()
        ]


def text_of(value: object, what: str) -> str:
    """Return a name as its file spells it, without spaces around it.

    Args:
        value: A text or a number.
        what: Words for the message, before the value.

    Raises:
        UserError: It is neither.
    """
    if isinstance(value, str):
        return compose(value.strip())
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    raise UserError(f'{what} {str(value)[:60]}, which is no text')


@dataclass(frozen=True)
class MaskClass:
    """A class of semantic masks, as a table beside them describes it.

    Attributes:
        name: Name of the class.
        value: Its value in the masks; None where the order says it.
        color: Its color in RGB masks, or None.
    """

    name: str
    value: int | None = None
    color: tuple[int, int, int] | None = None


@dataclass
class LabeledData:
    """A data set in one of the layouts.

    Attributes:
        layout: Name of the layout, such as ``'COCO JSON'``.
        root: Folder of the data set.
        classes: Names of the classes, in the order of the labels.
        splits: Samples of ``train``, ``val`` and ``test``, as far as they
            are there, or of ``all`` where there are no splits.
        sources: Where each split was read from.
        colors: One color a class, (R, G, B) of 0 to 255, or None.
        table: Classes of semantic masks; empty where no file names them.
        category_ids: Numbers of the classes in the user's own file of a
            split, if any.
        unlabeled: Splits that have images but no labels, and how many.
        is_normalized: Whether boxes and polygons are fractions of the size
            of their image.
        frames: Labels in 3D of an image, and its calibration file.
        notes: What the user should know of how it was read.
        findings: Faults that were worked around.
    """

    layout: str
    root: Path
    classes: list[str]
    splits: dict[str, list[Sample]]
    sources: dict[str, str] = field(default_factory=dict)
    colors: list[tuple[int, int, int]] | None = None
    table: list[MaskClass] = field(default_factory=list)
    category_ids: dict[str, dict[str, int]] = field(default_factory=dict)
    unlabeled: dict[str, int] = field(default_factory=dict)
    is_normalized: bool = False
    frames: dict[Path, tuple[KittiObjects, Path]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)

    @property
    def palette(self) -> list[tuple[int, int, int]]:
        """The colors, an empty list where there are none."""
        return self.colors or []
