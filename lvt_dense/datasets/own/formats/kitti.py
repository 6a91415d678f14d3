"""KITTI's folders, with any classes of objects."""

from collections.abc import Iterable
from pathlib import Path

from lvt_dense.datasets.kitti.folder import (
    KittiFolder,
    is_kitti_folder,
    scan_kitti_folder,
)
from lvt_dense.datasets.kitti.labels import (
    DONT_CARE,
    KittiObjects,
    read_labels,
)
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.progress import tqdm
from lvt_dense.utils.reading import read_lines

from .labeled_data import ALL, LabeledData, Object, Sample
from .tree import Tree

LAYOUT = 'KITTI folders'
LOOKED_FOR = (
    'KITTI folders (image_2, label_2 and calib, in training or in the root, '
    'with or without ImageSets)'
)


def find(tree: Tree) -> KittiFolder | None:
    """Scan the folders; None if there are none.

    Raises:
        UserError: A file is broken or missing.
    """
    if not is_kitti_folder(tree.root):
        return None
    return scan_kitti_folder(tree.root)


def read(tree: Tree, found: KittiFolder) -> LabeledData:
    """Read all labels but DontCare.

    Raises:
        UserError: A frame has no image.
    """
    data = LabeledData(LAYOUT, tree.root, list(found.classes), {})
    images = tree.root / found.data_prefix['img']
    by_stem = {p.stem: p for p in tree.images if p.parent == images}
    labels = tree.root / found.data_prefix['label']
    calibs = tree.root / found.data_prefix['calib']
    names = {name: i for i, name in enumerate(found.classes)}
    samples = {}
    for stem in tqdm(found.frames, 'labels', leave=False, delay=1):
        if stem not in by_stem:
            raise UserError(f'{images}: frame {stem} has no image')
        path = labels / f'{stem}.txt'
        found_objects = read_labels(path)
        image = by_stem[stem]
        data.frames[image] = found_objects, calibs / f'{stem}.txt'
        objects = _objects(path, found_objects, names)
        samples[stem] = Sample(image, objects=objects, name=stem)
    _note_fields(labels, found.frames, data)
    for name, stems in found.splits.items():
        split = tree.split_of([name])
        if split == 'trainval' and 'train' not in found.splits:
            split = ALL
        if split in ('train', 'val', 'test') or name == ALL:
            data.splits[split or ALL] = [samples[stem] for stem in stems]
            data.sources[split or ALL] = f'ImageSets/{name}.txt'
    if not data.splits:
        raise UserError(
            f'{tree.root / "ImageSets"}: no list is named train or val; there '
            f'is {", ".join(found.splits)}'
        )
    if ALL in data.splits:
        data.sources.pop(ALL)
    return data


def _note_fields(
    folder: Path, frames: Iterable[str], data: LabeledData
) -> None:
    """Note a field more than KITTI has, if the first object has one."""
    for stem in frames:
        for line in read_lines(folder / f'{stem}.txt'):
            if line:
                if len(line.split()) > 15:
                    data.notes.append(
                        'the labels have a 16th field, such as a score, '
                        'which is left out'
                    )
                return


def _objects(
    path: Path, found: KittiObjects, names: dict[str, int]
) -> list[Object]:
    objects = []
    for index, kind in enumerate(found.types.tolist()):
        if kind.lower() == DONT_CARE.lower() or kind not in names:
            continue
        x1, y1, x2, y2 = found.bboxes[index].tolist()
        objects.append(
            Object(
                names[kind],
                (x1, y1, x2 - x1, y2 - y1),
                source=f'{path.name} line {index + 1}',
            )
        )
    return objects
