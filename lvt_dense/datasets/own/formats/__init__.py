"""Layouts in which people keep labeled images, one file a layout."""

from pathlib import Path

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import no_collection

from . import coco, kitti, labelme, masks, voc, yolo
from .labeled_data import ALL, Findings, LabeledData, Object, Sample
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
    'read_data',
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
        return _read(Tree(root), task)


def _read(tree: Tree, task: str) -> LabeledData:
    root = tree.root
    layouts = _LAYOUTS[task]
    found = {layout: layout.find(tree) for layout in layouts}
    there = [layout for layout in layouts if found[layout] is not None]
    if not there:
        raise UserError(
            f'--data {root}: no labels for {task} are recognized'
            f'{_other_task(tree, task)}; looked for '
            f'{"; ".join(layout.LOOKED_FOR for layout in layouts)}; there is '
            f'{tree.describe()}'
        )
    data = there[0].read(tree, found[there[0]])
    if len(there) > 1:
        others = ', '.join(layout.LAYOUT for layout in there[1:])
        data.notes.append(
            f'the folder has labels as {others}, too; those as {data.layout} '
            'are read'
        )
    _check_content(data)
    return data


def _other_task(tree: Tree, task: str) -> str:
    """Say which other task the folder has labels for."""
    known = {layout for kind in _LAYOUTS.values() for layout in kind}
    for layout in sorted(known - set(_LAYOUTS[task]), key=lambda m: m.LAYOUT):
        if layout.find(tree) is not None:
            tasks = [t for t, kinds in _LAYOUTS.items() if layout in kinds]
            return f' (it has {layout.LAYOUT}, for {" or ".join(tasks)})'
    return ''


def _check_content(data: LabeledData) -> None:
    if not data.classes and data.layout != masks.LAYOUT:
        raise UserError(
            f'--data {data.root}: the {data.layout} labels name no class'
        )
    for split, samples in data.splits.items():
        if not samples:
            raise UserError(
                f'--data {data.root}: the {split} split '
                f'({data.sources.get(split, data.layout)}) has no images'
            )
