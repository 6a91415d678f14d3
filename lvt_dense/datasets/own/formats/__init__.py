"""Layouts in which people keep labeled images, one file a layout."""

from pathlib import Path
from types import ModuleType
from typing import Any

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import no_collection
from lvt_dense.utils.text import shorten

from . import coco, kitti, labelme, masks, voc, yolo
from .labeled_data import ALL, Findings, LabeledData, Object, Sample
from .matches import settle_matches
from .tree import Tree

# In the order in which they are looked for.
_LAYOUTS = {
    'detection': (coco, yolo, voc, labelme),
    'instance': (coco, yolo, labelme, voc),
    'semantic': (masks, coco, labelme, yolo),
    'mono3d': (kitti,),
}

__all__ = [
    'ALL',
    'Findings',
    'LabeledData',
    'Object',
    'Sample',
    'find_task',
    'read_data',
    'read_tree',
]


def read_data(root: str | Path, task: str) -> LabeledData:
    """Recognize the layout of a folder and read its labels.

    Args:
        root: Folder of the data set.
        task: ``'detection'``, ``'instance'``, ``'semantic'`` or ``'mono3d'``.

    Raises:
        UserError: No layout is recognized, or the labels cannot be used.
    """
    with no_collection():
        return read_tree(Tree(root, masks=task != 'detection'), task)


def read_tree(tree: Tree, task: str) -> LabeledData:
    """Recognize the layout of a folder that was listed, and read its labels.

    Args:
        tree: The files.
        task: As for :func:`read_data`.

    Raises:
        UserError: As for :func:`read_data`.
    """
    root = tree.root
    layouts = _LAYOUTS[task]
    there: list[tuple[ModuleType, Any]] = []
    for layout in layouts:
        found = _find(layout, tree, bool(there))
        if found is not None:
            there.append((layout, found))
    if not there:
        raise UserError(
            f'--data {root}: no labels for {task} are recognized'
            f'{_other_task(tree, task)}; looked for '
            f'{"; ".join(layout.LOOKED_FOR for layout in layouts)}; there is '
            f'{tree.describe()}'
        )
    layout, found = there[0]
    data = layout.read(tree, found)
    data.notes += tree.notes
    settle_matches(data)
    if len(there) > 1:
        others = ', '.join(other.LAYOUT for other, _ in there[1:])
        data.notes.append(
            f'the folder has labels as {others}, too; those as {data.layout} '
            'are read'
        )
    _check_content(data)
    return data


def find_task(tree: Tree) -> tuple[str, str]:
    """Find out what the labels of a folder are for.

    KITTI's folders are for 3D boxes, label maps for semantic segmentation,
    outlines of objects for instance segmentation, boxes for detection. An
    outline that is its box stands for a box.

    Args:
        tree: The files, those of masks as well.

    Returns:
        The task, and the reason in a few words.

    Raises:
        UserError: No layout is recognized.
    """
    if _find(kitti, tree, True) is not None:
        return 'mono3d', f'{kitti.LAYOUT} with 3D boxes'
    if _find(masks, tree, True) is not None:
        return 'semantic', 'images with label maps'
    data = read_tree(tree, 'instance')
    objects = [
        item
        for samples in data.splits.values()
        for sample in samples
        for item in sample.objects
        if not item.is_crowd
    ]
    outlined = sum(_has_outline(item) for item in objects)
    if outlined > len(objects) / 2:
        return 'instance', f'{outlined} of {len(objects)} objects have a mask'
    but = f', {outlined} with a mask' if outlined else ' without masks'
    return 'detection', f'{data.layout}: {len(objects)} boxes{but}'


def _has_outline(item: Object) -> bool:
    """Tell a mask from a box that is given as a polygon."""
    outline = item.segmentation
    if not outline or isinstance(outline, dict):
        return bool(outline)
    points = outline[0]
    is_box = len(points) in (8, 10) and all(
        len({round(float(v), 1) for v in points[axis::2]}) == 2
        for axis in (0, 1)
    )
    return len(outline) > 1 or not is_box


def _find(layout: ModuleType, tree: Tree, is_known: bool) -> object:
    """Look for a layout; faults of one that is not read do not matter."""
    try:
        return layout.find(tree)
    except UserError:
        if is_known:
            return None
        raise


def _other_task(tree: Tree, task: str) -> str:
    """Say which other task the folder has labels for."""
    known = {layout for kind in _LAYOUTS.values() for layout in kind}
    for layout in sorted(known - set(_LAYOUTS[task]), key=lambda m: m.LAYOUT):
        if _find(layout, tree, True) is not None:
            tasks = [t for t, kinds in _LAYOUTS.items() if layout in kinds]
            return f' (it has {layout.LAYOUT}, for {" or ".join(tasks)})'
    return ''


def _check_content(data: LabeledData) -> None:
    if not data.classes and data.layout != masks.LAYOUT:
        found = data.findings.lines()
        raise UserError(
            f'--data {data.root}: the {data.layout} labels name no class'
            + (f' ({"; ".join(found)})' if found else '')
        )
    for split, samples in data.splits.items():
        if not samples:
            raise UserError(
                f'--data {data.root}: the {split} split '
                f'({data.sources.get(split, data.layout)}) has no images'
            )
        _check_names(samples)


def _check_names(samples: list[Sample]) -> None:
    bad = [s.path.name for s in samples if not _is_text(str(s.path))]
    if bad:
        raise UserError(
            f'{len(bad)} images have names that are not UTF-8: '
            f'{shorten(map(ascii, bad), 3)}; rename them, as convmv does'
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
