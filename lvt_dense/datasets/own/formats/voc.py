"""Pascal VOC: an XML file of boxes for every image."""

import math
import xml.etree.ElementTree as ET
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.progress import tqdm
from lvt_dense.utils.reading import read_lines, read_xml
from lvt_dense.utils.text import compose, shorten

from .labeled_data import ALL, LabeledData, Object, Sample
from .tree import Tree, files_by_split

LAYOUT = 'Pascal VOC XML'
LOOKED_FOR = (
    'Pascal VOC XML (an .xml file with <annotation> for every image, with '
    'or without ImageSets/Main)'
)
_LISTS = ('train', 'val', 'test', 'trainval')


@dataclass
class VocFiles:
    """What describes a data set.

    Attributes:
        xmls: Annotation files.
        lists: ``ImageSets/Main/train.txt`` and the like, by split.
    """

    xmls: list[Path]
    lists: dict[str, Path]


def find(tree: Tree) -> VocFiles | None:
    """Find annotation files; None if there is none."""
    xmls = [  # GDAL and Windows write .aux.xml beside images
        path
        for path in tree.with_suffix('.xml')
        if not path.name.lower().endswith('.aux.xml')
    ]
    first = next(
        (p for p in xmls if b'<annotation' in p.read_bytes()[:2000]), None
    )
    if first is None:
        return None
    lists = {
        path.stem.lower(): path
        for path in tree.with_suffix('.txt')
        if path.stem.lower() in _LISTS
        and path.parent.name.lower() in ('main', 'imagesets')
    }
    return VocFiles(xmls, lists)


def read(tree: Tree, found: VocFiles) -> LabeledData:
    """Read all splits; the classes are in the order of the alphabet.

    Objects marked ``difficult`` are neither learned nor scored.

    Raises:
        UserError: A file is broken; the message names it.
    """
    data = LabeledData(LAYOUT, tree.root, [], {})
    names: dict[str, int] = {}
    for split, xmls in _by_split(tree, found, data).items():
        samples, missing = [], []
        for path in tqdm(xmls, f'{split} labels', leave=False, delay=1):
            sample = _read(tree, path, split, names)
            if sample is None:
                missing.append(path.name)
            else:
                samples.append(sample)
        report_missing(tree, data, split, missing, len(xmls))
        data.splits[split] = sorted(samples, key=lambda s: s.path.as_posix())
    note_unlabeled(tree, data)
    sort_classes(data, names)
    return data


def _by_split(
    tree: Tree, found: VocFiles, data: LabeledData
) -> dict[str, list[Path]]:
    if not found.lists:
        by_split = files_by_split(tree, found.xmls)
        if set(by_split) <= {None, 'trainval'}:
            return {ALL: found.xmls}
        if None in by_split:
            by_split.setdefault('train', []).extend(by_split.pop(None))
        for split in by_split:
            data.sources[str(split)] = 'by folder'
        return {str(s): paths for s, paths in sorted(
            by_split.items(), key=lambda item: str(item[0]))}  # fmt: skip
    by_stem = group_by_stem(found.xmls)
    lists = dict(found.lists)
    whole = lists.pop('trainval', None)
    if whole and 'train' not in lists:
        lists['train' if 'val' in lists else ALL] = whole
    listed_by: dict[str, list[Path]] = {}
    for split in ('train', 'val', 'test', ALL):
        if split in lists:
            path = lists[split]
            data.sources[split] = tree.relative(path)
            listed = _listed(tree, path, by_stem, data)
            if split == 'test' and not listed:
                continue
            listed_by[split] = listed
    return listed_by


def group_by_stem(paths: Iterable[Path]) -> dict[str, list[Path]]:
    """Sort files under their names without suffix."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in paths:
        found[compose(path.stem)].append(path)
    return found


def find_listed(
    tree: Tree, line: str, by_stem: dict[str, list[Path]]
) -> Path | None:
    """Find the file that a line of a list names.

    Args:
        tree: The files.
        line: An identifier, with or without folders, suffix and a second
            column.
        by_stem: The files that it may be.

    Returns:
        None if there is none, or if several fit.
    """
    first = line.split()[0]
    for text in (line, first):
        name = compose(text.replace('\\', '/').strip('/'))
        stem = name.rpartition('/')[2]
        for known in (stem, Path(stem).stem):
            same = by_stem.get(known, [])
            if len(same) == 1:
                return same[0]
            start = name[: len(name) - len(stem)]
            fitting = [
                path
                for path in same
                if start and f'/{tree.relative(path)}'.rpartition('/')[0]
                .endswith(f'/{start}'.rstrip('/'))
            ]  # fmt: skip
            if len(fitting) == 1:
                return fitting[0]
    return None


def _listed(
    tree: Tree, path: Path, by_stem: dict[str, list[Path]], data: LabeledData
) -> list[Path]:
    """Find the annotation files of the identifiers in a list."""
    ids = [line for line in read_lines(path) if line]
    if not ids:
        raise UserError(f'{path}: the list is empty')
    files = [find_listed(tree, line, by_stem) for line in ids]
    missing = [line for line, file in zip(ids, files) if file is None]
    if len(missing) == len(ids) and path.stem == 'test':
        data.unlabeled['test'] = len(ids)
        return []
    if missing and (path.stem != 'train' or len(missing) == len(ids)):
        raise UserError(
            f'{path}: {len(missing)} of its {len(ids)} images have no .xml '
            f'file of their own: {shorten(missing, 3)}'
        )
    for line in missing:
        data.findings.add('listed images have no .xml file', line)
    return list(dict.fromkeys(file for file in files if file is not None))


def _read(
    tree: Tree, path: Path, split: str, names: dict[str, int]
) -> Sample | None:
    """Read a file; None if its image is not there."""
    root = read_xml(path)
    if root.tag != 'annotation':
        hint = (
            "; this is CVAT's own format: export as COCO, YOLO or Pascal VOC"
            if root.tag == 'annotations'
            else ''
        )
        raise UserError(
            f'{path}: the top element is <{root.tag}>, not <annotation>{hint}'
        )
    match = tree.find_stem(path.stem, path, split)
    name = (root.findtext('filename') or '').strip()
    if match is None and name:
        folders = [path.parent, path.parent.parent / 'JPEGImages']
        match = tree.find_image(name, folders, split)
    if match is None:
        return None
    width = int(_float(root.findtext('size/width'), path))
    height = int(_float(root.findtext('size/height'), path))
    sample = Sample(
        match.path,
        width,
        height,
        name=tree.relative(path),
        strength=match.strength,
    )
    for number, node in enumerate(root.findall('object'), 1):
        label = compose((node.findtext('name') or '').strip())
        if not label:
            raise UserError(f'{path}: object {number} has no name')
        sample.objects.append(
            Object(
                names.setdefault(label, len(names)),
                _box(node, path, number),
                is_crowd=(node.findtext('difficult') or '0').strip() == '1',
                source=f'{path.name} object {number}',
            )
        )
    return sample


def _box(
    node: ET.Element, path: Path, number: int
) -> tuple[float, float, float, float]:
    keys = ('xmin', 'ymin', 'xmax', 'ymax')
    texts = [node.findtext(f'bndbox/{key}') for key in keys]
    if any(text is None for text in texts):
        raise UserError(
            f'{path}: object {number} has no bndbox with {", ".join(keys)}'
        )
    x1, y1, x2, y2 = (_float(text, path) for text in texts)
    if x2 < x1 or y2 < y1:
        raise UserError(
            f'{path}: object {number} has xmin {x1:g}, xmax {x2:g}, ymin '
            f'{y1:g}, ymax {y2:g}; the smaller value must come first'
        )
    return x1, y1, x2 - x1, y2 - y1


def _float(text: str | None, path: Path) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        raise UserError(f'{path}: {text!r} is no number') from None
    if not math.isfinite(value):
        raise UserError(f'{path}: {text!r} is not finite')
    return value


def report_missing(
    tree: Tree, data: LabeledData, split: str, missing: list[str], total: int
) -> None:
    """Note the label files without image, or refuse them.

    Raises:
        UserError: They are of a test split, or all of a split.
    """
    if missing and (split in ('val', 'test') or len(missing) == total):
        raise UserError(
            f'{split}: {len(missing)} of {total} label files have no image '
            f'under {tree.root}: {shorten(missing, 3)}; there is '
            f'{tree.describe()}'
        )
    for name in missing:
        data.findings.add('label files have no image and are left out', name)


def sort_classes(data: LabeledData, names: dict[str, int]) -> None:
    """Order the classes by name, and renumber the labels accordingly.

    Args:
        data: Data without classes; changed in place.
        names: Labels of the objects, by class name.
    """
    data.classes = sorted(names)
    order = {names[name]: i for i, name in enumerate(data.classes)}
    for samples in data.splits.values():
        for sample in samples:
            for item in sample.objects:
                item.label = order[item.label]


def note_unlabeled(tree: Tree, data: LabeledData) -> None:
    """Note the images that no split uses."""
    used = {s.path for samples in data.splits.values() for s in samples}
    note_unused(data, (p for p in tree.images if p not in used))


def note_unused(data: LabeledData, images: Iterable[Path]) -> None:
    """Note the images that no label file belongs to."""
    unused = [path.name for path in images]
    if unused:
        data.notes.append(
            f'{len(unused)} images have no label file and are left out: '
            f'{shorten(unused, 3)}'
        )
