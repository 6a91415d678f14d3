"""YOLO: a text file of normalized boxes or polygons for every image."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES, read_text
from lvt_dense.utils.reading import read_lines, read_yaml
from lvt_dense.utils.text import compose, fold, shorten

from .labeled_data import ALL, LabeledData, Sample
from .tree import Tree
from .yolo_lines import YoloLines

LAYOUT = 'YOLO'
LOOKED_FOR = (
    'YOLO (data.yaml with names, and .txt files of normalized boxes in '
    'labels/ or beside the images)'
)
_NAME_FILES = ('classes.txt', 'obj.names', 'names.txt', 'labels.txt')
_KEYS = dict(
    train=('train',), val=('val', 'valid', 'validation'), test=('test',)
)
_NULLS = ('null', 'Null', 'NULL', '~')  # of YAML


@dataclass
class YoloFiles:
    """What describes a data set.

    Attributes:
        config: Path of ``data.yaml``, or None.
        content: What it holds.
        names_files: Files with one name a line.
    """

    config: Path | None = None
    content: dict[str, Any] = field(default_factory=dict)
    names_files: list[Path] = field(default_factory=list)


def find(tree: Tree) -> YoloFiles | None:
    """Find ``data.yaml``, or label files with a list of names.

    Raises:
        UserError: The only YAML file there is broken, or two of them
            describe a data set.
    """
    described = []
    errors = []
    for path in tree.with_suffix('.yaml', '.yml'):
        try:
            content = read_yaml(path)
        except UserError as error:
            errors.append(error)
            continue
        if 'names' in content:
            described.append((path, content))
    named = [p for p in tree.files if p.name.lower() in _NAME_FILES]
    shallow = sorted(described, key=lambda item: len(item[0].parts))
    if len(shallow) > 1:
        depth = len(shallow[0][0].parts)
        same = [p for p, _ in shallow if len(p.parts) == depth]
        preferred = [p for p in same if p.stem in ('data', 'dataset')]
        if len(same) > 1 and len(preferred) != 1:
            raise UserError(
                f'--data {tree.root}: several files describe it: '
                f'{shorten(tree.relative(p) for p in same)}; leave one'
            )
        if preferred:
            shallow.sort(key=lambda item: item[0] != preferred[0])
    if shallow:
        return YoloFiles(*shallow[0], named)
    if _has_labels(tree):
        if errors and not named:
            raise errors[0]
        return YoloFiles(names_files=named)
    return None


def _has_labels(tree: Tree) -> bool:
    """Whether the text files beside images look like boxes."""
    for path in tree.with_suffix('.txt'):
        if fold(path.stem) in tree.images_by_stem:
            words = read_text(path).split()
            if not words:
                continue
            try:
                numbers = [float(word) for word in words]
            except ValueError:
                return False
            return len(numbers) >= 5
    return False


def read(tree: Tree, found: YoloFiles) -> LabeledData:
    """Read all splits.

    Raises:
        UserError: A list or label file cannot be used; names file and line.
    """
    classes = _class_names(tree, found)
    lines = YoloLines(found.config or tree.root, classes, _key_points(found))
    data = LabeledData(LAYOUT, tree.root, classes, {}, is_normalized=True)
    lists = _image_lists(tree, found, data)
    for split, paths in lists.items():
        if not paths:
            raise UserError(
                f'{found.config or tree.root}: the {split} split has no '
                f'images; there is {tree.describe()}'
            )
        data.splits[split] = _read_split(tree, data, split, paths, lines)
    lines.finish(data)
    _compare_names(tree, found, data)
    if not found.names_files and not found.config:
        count = 1 + max(
            (o.label for s in data.splits.values() for x in s
             for o in x.objects), default=-1,
        )  # fmt: skip
        data.classes = [f'class_{i}' for i in range(count)]
        data.notes.append(
            'there is no data.yaml or classes.txt, so the classes are called '
            'class_0, class_1, ...; name them all with --classes'
        )
    return data


def _class_names(tree: Tree, found: YoloFiles) -> list[str]:
    if found.config is None:
        return _listed_names(tree, found.names_files)
    names = found.content['names']
    where = found.config
    if isinstance(names, str) and (where.parent / names).is_file():
        names = _read_names(where.parent / names)
    if isinstance(names, dict):
        try:
            names = {int(key): value for key, value in names.items()}
        except (TypeError, ValueError):
            raise UserError(
                f'{where}: the keys of names must be 0, 1, 2, ...'
            ) from None
        if sorted(names) != list(range(len(names))):
            raise UserError(
                f'{where}: the keys of names are '
                f'{shorten(sorted(names), 8)}, but must be 0 to '
                f'{len(names) - 1} without a gap'
            )
        names = [names[i] for i in range(len(names))]
    if not isinstance(names, (list, tuple)) or not names:
        raise UserError(
            f'{where}: names must be a list, or a mapping from 0, 1, ... to '
            f'names, not {names!r}'
        )
    count = found.content.get('nc')
    if count and count not in _NULLS and count != str(len(names)):
        raise UserError(
            f'{where}: nc is {count}, but names has {len(names)} entries'
        )
    if not all(isinstance(n, str) and n.strip() for n in names):
        raise UserError(f'{where}: a name in names is no text')
    return _unique([compose(n.strip()) for n in names], where)


def _read_names(path: Path) -> list[str]:
    return [compose(line) for line in read_lines(path) if line]


def _listed_names(tree: Tree, paths: list[Path]) -> list[str]:
    """Read the names of all files that list them, the longest list.

    LabelImg writes one beside each folder of labels, and adds names to it.

    Raises:
        UserError: They contradict each other.
    """
    lists = [_unique(_read_names(path), path) for path in paths]
    longest = max(lists, key=len, default=[])
    for path, names in zip(paths, lists):
        if names != longest[: len(names)]:
            other = paths[lists.index(longest)]
            raise UserError(
                f'--data {tree.root}: {tree.relative(path)} names the classes '
                f'{shorten(names)}, but {tree.relative(other)} '
                f'{shorten(longest)}; number the labels alike, and leave one '
                'file'
            )
    return longest


def _compare_names(tree: Tree, found: YoloFiles, data: LabeledData) -> None:
    """Say that a list of names beside data.yaml has another order."""
    if found.config is None:
        return
    for path in found.names_files:
        names = _read_names(path)
        if (
            set(names) & set(data.classes)
            and names != data.classes[: len(names)]
        ):
            data.findings.add(
                f'lists of names differ from {found.config.name}, whose '
                'names and order are taken',
                f'{tree.relative(path)} ({shorten(names)})',
            )


def _unique(names: list[str], where: Path) -> list[str]:
    double = sorted({n for n in names if names.count(n) > 1})
    if double:
        raise UserError(f'{where}: names has {shorten(double)} twice')
    return names


def _image_lists(
    tree: Tree, found: YoloFiles, data: LabeledData
) -> dict[str, list[Path]]:
    """Find the images of every split."""
    lists = {}
    for split, keys in _KEYS.items():
        for key in keys:
            value = found.content.get(key)
            if value and value not in _NULLS:
                try:
                    lists[split] = _expand(tree, found, split, value, data)
                except UserError:
                    if split != 'test' or not lists:
                        raise
                    # Roboflow names a test split that need not be there.
                    data.findings.add(
                        'entries of data.yaml are not there and are left out',
                        f'{key}: {value}',
                    )
                    break
                data.sources[split] = shorten(
                    value if isinstance(value, list) else [value]
                )
                break
    if lists:
        return _separate(lists)
    by_split: dict[str, list[Path]] = {}
    labels = [p for p in tree.with_suffix('.txt') if _is_list(tree, p)]
    for path in labels:
        split = tree.split_of([path.stem]) or ''
        if split in ('train', 'val', 'test'):
            by_split[split] = _expand(tree, found, split, str(path), data)
            data.sources[split] = tree.relative(path)
    if by_split:
        return by_split
    for path in tree.images:
        parts = path.relative_to(tree.root).parts[:-1]
        by_split.setdefault(tree.split_of(parts) or ALL, []).append(path)
    if len(by_split) > 1 and ALL in by_split:
        by_split.setdefault('train', []).extend(by_split.pop(ALL))
    for split in by_split:
        data.sources[split] = 'by folder'
    return by_split


def _separate(lists: dict[str, list[Path]]) -> dict[str, list[Path]]:
    """Take one folder named for two splits for one without splits."""
    if 'train' in lists and lists.get('val') == lists['train']:
        lists = {k: v for k, v in lists.items() if k != 'val'}
        if lists.get('test') == lists['train']:
            del lists['test']
    return lists


def _is_list(tree: Tree, path: Path) -> bool:
    """Whether a text file lists images."""
    if tree.split_of([path.stem]) is None:
        return False
    lines = [line for line in read_lines(path) if line]
    return bool(lines) and lines[0].lower().endswith(IMAGE_SUFFIXES)


def _expand(
    tree: Tree,
    found: YoloFiles,
    split: str,
    value: Any,
    data: LabeledData,
) -> list[Path]:
    """Find the images that an entry of ``data.yaml`` names."""
    if isinstance(value, (list, tuple)):
        return [
            path
            for item in value
            for path in _expand(tree, found, split, item, data)
        ]
    place = _locate(tree, found, str(value), split)
    if place.is_dir():
        return _images_in(tree, place)
    images, missing = [], []
    for number, line in enumerate(read_lines(place), 1):
        if line:
            match = tree.find_image(line, [place.parent, tree.root], split)
            if match is None:
                missing.append(f'{line} (line {number})')
            else:
                images.append(match.path)
    if missing and (split != 'train' or not images):
        raise UserError(
            f'{place}: {len(missing)} of its images are not under '
            f'{tree.root}: {shorten(missing, 3)}'
        )
    for name in missing:
        data.findings.add('listed images are not there', name)
    return sorted(images)


def _locate(tree: Tree, found: YoloFiles, value: str, split: str) -> Path:
    """Find the folder or list file of an entry, even if the set was moved."""
    value = value.strip().replace('\\', '/')
    here = found.config.parent if found.config else tree.root
    base = str(found.content.get('path') or '').replace('\\', '/')
    # Roboflow writes ../train/images into a data.yaml beside train.
    inner = value
    while inner.startswith('../'):
        inner = inner[3:]
    candidates = [
        *((here / base / value, Path(base) / value) if base else ()),
        here / value,
        here / inner,
        tree.root / inner,
    ]
    for path in candidates:
        if '..' in path.parts:
            path = Path(os.path.normpath(path))
        if path.is_file() or _images_in(tree, path):
            return path
    # An absolute path of another machine: its last parts.
    parts = [p for p in value.split('/') if p]
    for start in range(1, len(parts)):
        if (
            tree.split_of(parts[:start])
            == split
            != tree.split_of(parts[start:])
        ):
            break  # what is left is that of all splits
        path = here.joinpath(*parts[start:])
        if path.is_file() or _images_in(tree, path):
            return path
    raise UserError(
        f'{found.config}: {split} is {value!r}, which is neither a folder '
        f'with images nor a list of them under {here}; there is '
        f'{tree.describe()}'
    )


def _images_in(tree: Tree, folder: Path) -> list[Path]:
    """Return the images in a folder, which may be beside the root."""
    if folder == tree.root or tree.root in folder.parents:
        start = f'{folder}{os.sep}'
        return [p for p in tree.images if str(p).startswith(start)]
    return sorted(
        p
        for p in folder.rglob('*')
        if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith('.')
    )


def label_file(image: Path) -> Path:
    """Return where the labels of an image are, or would be.

    The last folder ``images`` of the path becomes ``labels``; without one
    the labels are beside the image.
    """
    parts = list(image.parts)
    folders = [i for i, p in enumerate(parts[:-1]) if p.lower() == 'images']
    if folders:
        parts[folders[-1]] = 'labels'
        path = Path(*parts).with_suffix('.txt')
        if path.is_file():
            return path
    beside = image.with_suffix('.txt')
    return path if folders and not beside.is_file() else beside


def _find_labels(tree: Tree, image: Path) -> Path | None:
    """Find the label file of an image.

    It may be named x.jpg.txt, and its path may differ in case and in the
    composition of accents.
    """
    place = label_file(image)
    if place.is_file():
        return place
    for path in (place, image):
        for name in (f'{image.stem}.txt', f'{image.name}.txt'):
            found = tree.find_alike(path.with_name(name))
            if found is not None:
                return found
    return None


def _read_split(
    tree: Tree,
    data: LabeledData,
    split: str,
    paths: list[Path],
    lines: YoloLines,
) -> list[Sample]:
    samples, labeled, double = [], 0, set()
    for path in paths:
        if path in double:
            data.findings.add(
                'images are listed twice and taken once', path.name
            )
            continue
        double.add(path)
        source = _find_labels(tree, path)
        sample = Sample(path)
        if source is not None:
            labeled += 1
            sample.objects = lines.read(source)
        samples.append(sample)
    if not labeled:
        if split == 'test':
            data.unlabeled[split] = len(samples)
            return samples
        raise UserError(
            f'{split}: none of the {len(samples)} images has a label file '
            f'(looked for {label_file(paths[0])}); there is '
            f'{tree.describe()}'
        )
    if labeled < len(samples):
        data.notes.append(
            f'{split}: {len(samples) - labeled} of {len(samples)} images '
            'have no label file and count as images without objects'
        )
    return samples


def _key_points(found: YoloFiles) -> int:
    """Return how many numbers key points add to a line."""
    shape = found.content.get('kpt_shape')
    if not shape or shape in _NULLS:
        return 0
    try:
        count, size = (int(v) for v in shape)
    except (TypeError, ValueError):
        count = size = 0
    if count < 1 or size not in (2, 3):
        raise UserError(
            f'{found.config}: kpt_shape is {shape!r}, but must be the number '
            'of key points and 2 or 3, such as [17, 3]'
        )
    return count * size
