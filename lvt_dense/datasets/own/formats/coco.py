"""COCO JSON, under any file names and in any folders."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import read_json
from lvt_dense.utils.text import shorten

from .labeled_data import ALL, Findings, LabeledData, Object, Sample
from .tree import Tree, split_of

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
        self.contents: dict[Path, dict] = {}
        self.broken: list[UserError] = []
        candidates = [
            path
            for path in tree.with_suffix('.json')
            if path.stem.lower() not in tree.images_by_stem
        ]
        wanted = [
            p for p in candidates if not p.name.lower().startswith(_OTHER)
        ]
        for path in wanted or candidates:
            try:
                content = read_json(path)
            except UserError as error:
                self.broken.append(error)
                continue
            if _is_coco(content):
                self.contents[path] = content


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and (
        isinstance(content.get('images'), list)
        and ('annotations' in content or 'categories' in content)
    )


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
        names = _category_names(path, content)
        parents |= _parents(content)
        data.classes += [n for n in names.values() if n not in data.classes]
        reader = _Reader(tree, data, split, path, names)
        data.splits[split] = reader.read(content)
        data.sources[split] = tree.relative(path)
        used |= reader.used
        if 'annotations' not in content:
            data.unlabeled[split] = len(data.splits[split])
    _drop_parents(data, parents - used)
    return data


def _assign_splits(tree: Tree, found: CocoFiles) -> dict[str, Path]:
    paths: dict[str | None, list[Path]] = {}
    for path in found.contents:
        relative = path.relative_to(tree.root)
        split = split_of([*relative.parts[:-1], relative.stem])
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


def _category_names(path: Path, content: dict) -> dict[Any, str]:
    names: dict[Any, str] = {}
    for index, category in enumerate(content.get('categories') or []):
        if not isinstance(category, dict) or not {'id', 'name'} <= set(
            category
        ):
            raise UserError(f'{path}: categories[{index}] lacks id or name')
        name = str(category['name'])
        if category['id'] in names:
            raise UserError(
                f'{path}: two categories have the id {category["id"]!r}: '
                f'{names[category["id"]]} and {name}'
            )
        if name in names.values():
            raise UserError(f'{path}: two categories have the name {name!r}')
        names[category['id']] = name
    if not names:
        raise UserError(f'{path}: the list of categories is empty')
    try:
        return dict(sorted(names.items()))
    except TypeError:
        return names


def _parents(content: dict) -> set[str]:
    """Return the names that are only the supercategory of others."""
    return {
        str(c.get('supercategory'))
        for c in content['categories']
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

    def read(self, content: dict) -> list[Sample]:
        """Read images and annotations; unused classes are noted."""
        samples = self._images(content['images'])
        unknown = []
        seen: set = set()
        for index, ann in enumerate(content.get('annotations') or []):
            self._check_annotation(index, ann)
            if ann.get('id') is not None:
                if ann['id'] in seen:
                    self.findings.add(
                        'annotations share an id and are kept under new ones',
                        f'{self.path.name} id {ann["id"]}',
                    )
                seen.add(ann['id'])
            if ann['image_id'] not in samples:
                unknown.append(ann)
                continue
            sample = samples[ann['image_id']]
            if sample is not None:
                sample.objects.append(self._object(index, ann))
        if unknown:
            self.findings.add(
                'annotations name an image that the file does not list and '
                'are left out',
                f'{self.path.name} annotation {unknown[0].get("id")} '
                f'(image_id {unknown[0]["image_id"]})',
                len(unknown),
            )
        self.used = {
            self.names[a['category_id']]
            for a in content.get('annotations') or []
        }
        return sorted(
            (s for s in samples.values() if s is not None),
            key=lambda s: s.path.as_posix(),
        )

    def _images(self, images: list[dict]) -> dict[Any, Sample | None]:
        samples: dict[Any, Sample | None] = {}
        folders = list(self._folders())
        for index, image in enumerate(images):
            if not isinstance(image, dict) or 'id' not in image:
                raise UserError(f'{self.path}: images[{index}] lacks id')
            if not image.get('file_name'):
                raise UserError(
                    f'{self.path}: images[{index}] lacks file_name'
                )
            if image['id'] in samples:
                raise UserError(
                    f'{self.path}: two images have the id {image["id"]!r}, '
                    f'so their objects cannot be told apart '
                    f'({image["file_name"]})'
                )
            found = self.tree.find_image(
                image['file_name'], folders, self.split
            )
            if found is None:
                self.missing.append(str(image['file_name']))
                samples[image['id']] = None
                continue
            samples[image['id']] = Sample(
                found,
                int(_number(image.get('width') or 0)),
                int(_number(image.get('height') or 0)),
            )
        _report_missing(self, len(images))
        return samples

    def _folders(self) -> Iterator[Path]:
        """List the folders in which images are looked for first."""
        root, here = self.tree.root, self.path.parent
        base = [here, here / 'images', root, root / 'images']
        yield from base[:2]
        for folder in (root, root / 'images', here.parent):
            if not folder.is_dir():
                continue
            for entry in sorted(folder.iterdir()):
                named = entry.is_dir() and split_of([entry.name])
                if named and named == self.split:
                    yield entry
                    yield entry / 'images'
        yield from base[2:]

    def _check_annotation(self, index: int, ann: Any) -> None:
        where = f'{self.path}: annotations[{index}]'
        if not isinstance(ann, dict):
            raise UserError(f'{where} is no object')
        for key in ('image_id', 'category_id'):
            if key not in ann:
                raise UserError(f'{where} lacks {key}')
        if ann['category_id'] not in self.label_of:
            raise UserError(
                f'{where} (id {ann.get("id")}) has category_id '
                f'{ann["category_id"]!r}, but the categories are '
                f'{shorten(self.label_of, 10)}'
            )

    def _object(self, index: int, ann: dict) -> Object:
        where = f'{self.path}: annotations[{index}] (id {ann.get("id")})'
        segmentation = ann.get('segmentation') or None
        box = ann.get('bbox')
        if not box and isinstance(segmentation, list):
            box = polygon_box(segmentation)
        values = _floats(box)
        if values is None or len(values) != 4:
            raise UserError(
                f'{where} has bbox {box!r}, not four numbers [x, y, width, '
                'height]'
            )
        area = ann.get('area')
        return Object(
            self.label_of[ann['category_id']],
            (values[0], values[1], values[2], values[3]),
            segmentation,
            bool(ann.get('iscrowd', 0)),
            None if area is None else _number(area),
            f'{self.path.name} annotation {ann.get("id", index)}',
        )


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


def polygon_box(polygons: list) -> list[float] | None:
    """Return the box [x, y, width, height] around polygons, if any."""
    points = [v for polygon in polygons for v in _floats(polygon) or []]
    if len(points) < 4:
        return None
    xs, ys = points[::2], points[1::2]
    return [min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)]


def _floats(values: Any) -> list[float] | None:
    """Return the values as finite floats; None if they are not."""
    if not isinstance(values, (list, tuple)):
        return None
    try:
        numbers = [float(v) for v in values]
    except (TypeError, ValueError):
        return None
    return numbers if all(map(math.isfinite, numbers)) else None


def _number(value: Any) -> float:
    """Return the value as a float; 0 if it is no number."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return 0.0
    return number if math.isfinite(number) else 0.0
