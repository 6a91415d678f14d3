"""Names and colors of the classes."""

from collections.abc import Sequence

from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten, suggest

Color = tuple[int, int, int]


def select_classes(data: LabeledData, names: Sequence[str]) -> None:
    """Keep a part of the classes, in the order given, in place.

    Objects of the other classes are left out.

    Args:
        data: Labels.
        names: Names of classes of the data.

    Raises:
        UserError: A name is none of the data's, or given twice.
    """
    check_names(data, names)
    label_of = {data.classes.index(n): i for i, n in enumerate(names)}
    for samples in data.splits.values():
        for sample in samples:
            sample.objects = [o for o in sample.objects if o.label in label_of]
            for item in sample.objects:
                item.label = label_of[item.label]
    left_out = [n for n in data.classes if n not in names]
    if left_out:
        data.notes.append(f'left out by --classes: {shorten(left_out)}')
    if data.colors is not None:
        data.colors = [data.colors[i] for i in label_of]
    data.classes = list(names)


def check_names(data: LabeledData, names: Sequence[str]) -> None:
    """Check that names are classes of the data, each given once.

    Raises:
        UserError: One is not; the nearest names are given.
    """
    for name in names:
        if name not in data.classes:
            near = suggest(name, data.classes)
            hint = f'{near} ' if near else ''
            raise UserError(
                f'--classes {name}: no class of {data.root} has this name; '
                f'{hint}There are {shorten(data.classes, 20)}'
            )
    double = sorted({n for n in names if list(names).count(n) > 1})
    if double or not names:
        raise UserError(
            f'--classes: {shorten(double) or "nothing"} is given '
            f'{"twice" if double else ""}'.rstrip()
        )


def make_colors(count: int, first: int = 1) -> list[Color]:
    """Make distinct colors as PASCAL VOC does, from the bits of an index.

    Args:
        count: Number of colors.
        first: Index of the first one; that of 0 is black.

    Returns:
        (R, G, B) of 0 to 255.
    """
    colors = []
    for index in range(first, first + count):
        red = green = blue = 0
        for place in range(7, -1, -1):
            red |= (index & 1) << place
            green |= (index >> 1 & 1) << place
            blue |= (index >> 2 & 1) << place
            index >>= 3
        colors.append((red, green, blue))
    return colors
