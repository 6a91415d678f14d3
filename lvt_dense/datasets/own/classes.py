"""Names and colors of the classes."""

from collections.abc import Sequence
from dataclasses import replace

from lvt_dense.datasets.own.formats.labeled_data import LabeledData
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import shorten, suggest

Color = tuple[int, int, int]

# Names that people give to what does not count.
_VOID = {
    *('void', 'unlabeled', 'unlabelled', 'ignore', 'ignored', 'dontcare'),
    *("don't care", 'dont care', 'unknown', '_ignore_', '__ignore__'),
    *('ignored regions', 'ignored region', 'ignore regions'),
}


def is_void(name: str) -> bool:
    """Whether a name says that something does not count."""
    return name.strip().lower() in _VOID


def ignore_void(data: LabeledData, names: Sequence[str] | None) -> None:
    """Turn objects of classes that do not count into regions to ignore.

    What lies there is neither learned nor scored, in place.

    Args:
        data: Labels.
        names: From ``--classes``; what it names counts.
    """
    void = [n for n in data.classes if is_void(n) and n not in (names or ())]
    kept = [n for n in data.classes if n not in void]
    if not void or not kept:
        return
    label_of = {data.classes.index(n): i for i, n in enumerate(kept)}
    count = 0
    for samples in data.splits.values():
        for sample in samples:
            objects = []
            for item in sample.objects:
                if item.label in label_of:
                    item.label = label_of[item.label]
                    objects.append(item)
                    continue
                count += 1
                # COCO's regions to ignore are those of one class.
                objects += [
                    replace(item, label=label, is_crowd=True)
                    for label in range(len(kept))
                ]
            sample.objects = objects
    data.notes.append(
        f'{shorten(void)} is no class: its {count} objects are neither '
        'learned nor scored'
    )
    if data.colors is not None:
        data.colors = [data.colors[i] for i in label_of]
    data.classes = kept


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
