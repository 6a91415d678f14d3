"""COCO JSON, under any file names and in any folders."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.text import fold, shorten

from .box_forms import check_outlines
from .coco_file import CocoFile, read_coco_file, read_id, read_number
from .labeled_data import ALL, Findings, LabeledData, Sample, text_of
from .tree import Tree

LAYOUT = 'COCO JSON'
LOOKED_FOR = 'COCO JSON (a .json file with images, annotations, categories)'
# Files of COCO itself that hold something else than objects.
_OTHER = ('captions', 'panoptic', 'stuff', 'person_keypoints')


class CocoFiles:
    """The annotation files of a folder.

    Attributes:
        contents: What each file holds.
        broken: Errors of files that may be annotations, too.
    """

    def __init__(self, tree: Tree) -> None:
        self.contents: dict[Path, CocoFile] = {}
        self.broken: list[UserError] = []
        candidates = [
            path
            for path in tree.with_suffix('.json')
            if fold(path.stem) not in tree.images_by_stem
        ]
        wanted = [
            p for p in candidates if not p.name.lower().startswith(_OTHER)
        ]
        for path in wanted or candidates:
            try:
                content = read_coco_file(path, tree.masks)
            except UserError as error:
                self.broken.append(error)
                continue
            if content is not None:
                self.contents[path] = content
                tree.known.add(path)


def find(tree: Tree) -> CocoFiles | None:
    """Find annotation files; None if there is none.

    Raises:
        UserError: One of several is broken.
    """
    found = CocoFiles(tree)
    if found.contents and found.broken:
        raise found.broken[0]
    return found if found.contents else None


def read(tree: Tree, found: CocoFiles) -> LabeledData:
    """Read all splits.

    Raises:
        UserError: The files contradict themselves or each other.
    """
    by_split = _assign_splits(tree, found)
    data = LabeledData(LAYOUT, tree.root, [], {})
    used: set[str] = set()
    parents: set[str] = set()
    for split, path in by_split.items():
        content = found.contents[path]
        if content.fault is not None:
            raise content.fault
        names = _category_names(content)
        parents |= _parents(content)
        data.classes += [n for n in names.values() if n not in data.classes]
        if all(type(key) is int for key in names):
            data.category_ids[split] = {n: key for key, n in names.items()}
        reader = _Reader(tree, data, split, path, names)
        data.splits[split] = reader.read(content)
        data.sources[split] = tree.relative(path)
        used |= reader.used
        if content.annotations is None:
            data.unlabeled[split] = len(data.splits[split])
        content.annotations = content.images = None  # free the memory
    _drop_parents(data, parents - used)
    return data


def _assign_splits(tree: Tree, found: CocoFiles) -> dict[str, Path]:
    paths: dict[str | None, list[Path]] = {}
    for path in found.contents:
        relative = path.relative_to(tree.root)
        split = tree.split_of([*relative.parts[:-1], relative.stem])
        paths.setdefault(split, []).append(path)
    whole = paths.pop('trainval', [])
    if whole and 'train' not in paths:
        paths['train' if 'val' in paths else None] = whole
    unnamed = paths.pop(None, [])
    if unnamed:
        key = 'train' if paths and 'train' not in paths else ALL
        if key == ALL and paths:
            raise UserError(
                f'{unnamed[0]}: its name says neither train, val nor test, '
                'and all splits are there already; remove or rename it'
            )
        paths[key] = unnamed
    for split, several in paths.items():
        if len(several) > 1:
            raise UserError(
                f'--data {tree.root}: {len(several)} annotation files for '
                f'one split ({split}): '
                f'{shorten(tree.relative(p) for p in several)}; put train, '
                'val or test into their names, or leave one'
            )
    order = ('train', 'val', 'test', ALL)
    return {str(s): paths[s][0] for s in order if s in paths}


def _category_names(content: CocoFile) -> dict[Any, str]:
    names: dict[Any, str] = {}
    path = content.path
    for index, category in enumerate(content.categories or []):
        where = f'{path}: categories[{index}]'
        if not isinstance(category, dict) or not {'id', 'name'} <= set(
            category
        ):
            raise UserError(f'{where} lacks id or name')
        name = text_of(category['name'], f'{where} has the name')
        number = read_id(category['id'], f'{where} has id')
        if number in names:
            raise UserError(
                f'{path}: two categories have the id {number!r}: '
                f'{names[number]} and {name}'
            )
        twin = next((key for key, n in names.items() if n == name), number)
        if twin != number and not _drop_twin(content, names, twin, number):
            continue
        names[number] = name
    if not names:
        raise UserError(f'{path}: the list of categories is empty')
    try:
        return dict(sorted(names.items()))
    except TypeError:
        return names


def _drop_twin(
    content: CocoFile, names: dict[Any, str], first: Any, second: Any
) -> bool:
    """Keep that of two categories with one name which has objects.

    Roboflow names the head of a group after the project, which may be the
    name of its only class.

    Returns:
        Whether it is the second, in whose place the first is dropped.

    Raises:
        UserError: Both have objects.
    """
    used = {category for _, _, category, _ in content.annotations or ()}
    if {first, second} <= used:
        raise UserError(
            f'{content.path}: two categories have the name {names[first]!r}'
        )
    if second in used:
        del names[first]
    return second in used


def _parents(content: CocoFile) -> set[str]:
    """Return the names that are only the supercategory of others."""
    return {
        str(c.get('supercategory'))
        for c in content.categories or ()
        if c.get('supercategory') != c.get('name')
    }


def _drop_parents(data: LabeledData, unused: set[str]) -> None:
    """Leave out categories that only head a group, as Roboflow writes."""
    dropped = [name for name in data.classes if name in unused]
    if not dropped or len(dropped) == len(data.classes):
        return
    kept = [name for name in data.classes if name not in unused]
    for samples in data.splits.values():
        for sample in samples:
            for item in sample.objects:
                item.label = kept.index(data.classes[item.label])
    data.classes = kept
    data.notes.append(
        f'category {", ".join(dropped)} heads a group and has no objects of '
        'its own: it is no class'
    )


class _Reader:
    """Reads one annotation file."""

    def __init__(
        self,
        tree: Tree,
        data: LabeledData,
        split: str,
        path: Path,
        names: dict[Any, str],
    ) -> None:
        self.tree, self.path, self.split = tree, path, split
        self.findings: Findings = data.findings
        self.names = names
        self.label_of = {
            key: data.classes.index(name) for key, name in names.items()
        }
        self.used: set[str] = set()
        self.missing: list[str] = []

    def read(self, content: CocoFile) -> list[Sample]:
        """Read images and annotations; unused classes are noted."""
        samples = self._images(content.images or [])
        if content.brush_counts:
            for item in content.brushed:
                item.is_crowd = False
            self.findings.add(
                'run lengths have iscrowd 1, as CVAT writes for the brush, '
                'and count as single objects',
                f'{self.path.name} annotation {content.brushed[0].source}',
                len(content.brushed),
            )
        for fault, where in content.faults:
            self.findings.add(f'{fault} and are left out', where)
        check_outlines(self.path, content.outlined, self.findings)
        self._add_objects(content, samples)
        return sorted(
            (s for s in samples.values() if s is not None),
            key=lambda s: str(s.path),
        )

    def _add_objects(
        self, content: CocoFile, samples: dict[Any, Sample | None]
    ) -> None:
        seen: set = set()
        used: set = set()
        unknown = []
        label_of, name = self.label_of, self.path.name
        annotations = content.annotations or []
        for index, (item, image, category, number) in enumerate(annotations):
            if category not in label_of:
                raise UserError(
                    f'{self.path}: annotations[{index}] (id {number}) has '
                    f'category_id {category!r}, but the categories are '
                    f'{shorten(label_of, 10)}'
                )
            if number in seen and number is not None:
                self.findings.add(
                    'annotations share an id and are kept under new ones',
                    f'{name} id {number}',
                )
            seen.add(number)
            used.add(category)
            item.label = label_of[category]
            if image not in samples:
                unknown.append((number, image))
                continue
            sample = samples[image]
            if sample is not None:
                sample.objects.append(item)
        if unknown:
            self.findings.add(
                'annotations name an image that the file does not list and '
                'are left out',
                f'{name} annotation {unknown[0][0]} (image_id '
                f'{unknown[0][1]})',
                len(unknown),
            )
        self.used = {self.names[category] for category in used}

    def _images(self, images: list) -> dict[Any, Sample | None]:
        samples: dict[Any, Sample | None] = {}
        folders = list(self._folders())
        for index, image in enumerate(images):
            where = f'{self.path}: images[{index}]'
            if not isinstance(image, dict) or 'id' not in image:
                raise UserError(f'{where} lacks id')
            name = image.get('file_name')
            if not name or not isinstance(name, str):
                raise UserError(f'{where} lacks file_name')
            number = read_id(image['id'], f'{where} has id')
            if number in samples:
                raise UserError(
                    f'{self.path}: two images have the id {number!r}, '
                    f'so their objects cannot be told apart ({name})'
                )
            match = self.tree.find_image(name, folders, self.split)
            if match is None:
                self.missing.append(name)
                samples[number] = None
                continue
            samples[number] = Sample(
                match.path,
                int(read_number(image.get('width')) or 0),
                int(read_number(image.get('height')) or 0),
                name=name,
                strength=match.strength,
                image_id=number if type(number) is int else None,
            )
        _report_missing(self, len(images))
        return samples

    def _folders(self) -> Iterator[Path]:
        """List the folders in which images are looked for first."""
        root, here = self.tree.root, self.path.parent
        base = [here, here / 'images', root, root / 'images']
        yield from base[:2]
        places = (root, root / 'images', here.parent)
        for folder in dict.fromkeys(places):
            if not folder.is_dir() or folder == root.parent:
                continue
            for entry in sorted(folder.iterdir()):
                named = entry.is_dir() and self.tree.split_of(
                    entry.relative_to(root).parts
                )
                if named and named == self.split:
                    yield entry
                    yield entry / 'images'
        yield from base[2:]


def _report_missing(reader: '_Reader', total: int) -> None:
    missing = reader.missing
    if not missing:
        return
    if len(missing) == total:
        raise UserError(
            f'{reader.path}: none of its {total} images is under '
            f'{reader.tree.root} (looked for {missing[0]}, by its path and '
            f'by its name); there is {reader.tree.describe()}'
        )
    if reader.split in ('val', 'test'):
        raise UserError(
            f'{reader.path}: {len(missing)} of its {total} images are not '
            f'under {reader.tree.root}, or their names are not unique: '
            f'{shorten(missing, 3)}'
        )
    reader.findings.add(
        'images are not there (or not under a unique name) and are left out',
        f'{missing[0]} of {reader.path.name}',
        len(missing),
    )
