"""Folders of images and of semantic masks."""

from collections import defaultdict
from pathlib import Path

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import read_lines
from lvt_dense.utils.text import shorten

from .color_tables import find_table, read_table
from .known_tables import known_table
from .labeled_data import ALL, LabeledData, Sample
from .mask_pairs import MaskFiles, pair_masks
from .tree import Tree
from .voc import find_listed, group_by_stem

LAYOUT = 'folders of images and masks'
LOOKED_FOR = (
    'images with masks of the same names (folders such as images/ and '
    'masks/, labels/ or annotations/, or x.jpg beside x_mask.png)'
)
_LISTS = ('train', 'val', 'test', 'trainval')


def find(tree: Tree) -> MaskFiles | None:
    """Pair images with masks; None if no mask is recognized."""
    return pair_masks(tree)


def read(tree: Tree, found: MaskFiles) -> LabeledData:
    """Read the splits and the table of classes, not yet the masks.

    Raises:
        UserError: No image has a mask.
    """
    if not found.pairs:
        raise UserError(
            f'--data {tree.root}: there are {len(found.orphans)} masks, but '
            f'none has the name of an image: {found.orphans[0].name} and '
            f'{found.unlabeled[0].name if found.unlabeled else "no image"}; '
            f'there is {tree.describe()}'
        )
    data = LabeledData(LAYOUT, tree.root, [], {})
    table = find_table(tree)
    known = known_table(found.pairs.values())
    if table is not None:
        data.table = read_table(table)
        data.notes.append(f'the classes are those of {tree.relative(table)}')
    elif known is not None:
        data.table, source = known
        data.notes.append(f'the classes are those of {source}')
    by_split = _listed(tree, found, data) or _by_folder(tree, found, data)
    for split, paths in by_split.items():
        data.splits[split] = [
            Sample(path, mask=found.pairs[path]) for path in sorted(paths)
        ]
    _note_unlabeled(tree, found, data)
    if found.several:
        data.notes.append(
            f'{len(found.several)} images have several masks and are left '
            f'out: {shorten([p.name for p in found.several], 3)}; merge the '
            'masks of each into one file'
        )
    for path in found.orphans:
        data.findings.add('masks have no image', tree.relative(path))
    return data


def _by_folder(
    tree: Tree, found: MaskFiles, data: LabeledData
) -> dict[str, list[Path]]:
    by_split: dict[str, list[Path]] = defaultdict(list)
    for path in found.pairs:
        parts = path.relative_to(tree.root).parts[:-1]
        by_split[tree.split_of(parts) or ALL].append(path)
    if len(by_split) > 1 and ALL in by_split:
        by_split['train'] += by_split.pop(ALL)
    if 'trainval' in by_split:
        key = 'train' if 'train' in by_split or 'val' in by_split else ALL
        by_split[key] += by_split.pop('trainval')
    for split in by_split:
        if split != ALL:
            data.sources[split] = 'by folder'
    return dict(by_split)


def _find_lists(tree: Tree, by_stem: dict[str, list[Path]]) -> dict[str, Path]:
    """Find lists of images, such as those in ImageSets/Segmentation."""
    by_folder: dict[Path, dict[str, Path]] = defaultdict(dict)
    for path in tree.with_suffix('.txt'):
        if path.stem.lower() in _LISTS:
            by_folder[path.parent][path.stem.lower()] = path
    for folder, lists in by_folder.items():
        if folder.name.lower() == 'segmentation':
            return lists
    for lists in by_folder.values():
        lines = [s for p in lists.values() for s in read_lines(p) if s]
        known = sum(find_listed(tree, s, by_stem) is not None for s in lines)
        if known and known > len(lines) / 2:
            return lists
    return {}


def _listed(
    tree: Tree, found: MaskFiles, data: LabeledData
) -> dict[str, list[Path]]:
    """Read the splits of lists of images."""
    by_stem = group_by_stem(found.pairs)
    lists = _find_lists(tree, by_stem)
    whole = lists.pop('trainval', None)
    if whole and 'train' not in lists:
        lists['train' if 'val' in lists else ALL] = whole
    splits = {}
    for split, path in lists.items():
        lines = [line for line in read_lines(path) if line]
        images = [find_listed(tree, line, by_stem) for line in lines]
        missing = [s for s, image in zip(lines, images) if image is None]
        if not lines or len(missing) == len(lines):
            if split == 'test':
                data.unlabeled['test'] = len(lines)
                continue
            raise UserError(
                f'{path}: '
                + (f'none of its {len(lines)} images has a mask: '
                   f'{shorten(missing, 3)}' if lines else 'is empty')
            )  # fmt: skip
        for line in missing:
            data.findings.add('listed images have no mask', line)
        splits[split] = list(
            dict.fromkeys(image for image in images if image is not None)
        )
        data.sources[split] = tree.relative(path)
    return splits


def _note_unlabeled(tree: Tree, found: MaskFiles, data: LabeledData) -> None:
    tests = [
        p
        for p in found.unlabeled
        if tree.split_of(p.relative_to(tree.root).parts[:-1]) == 'test'
    ]
    if tests and 'test' not in data.splits:
        data.unlabeled['test'] = len(tests)
    else:
        tests = []
    others = [p.name for p in found.unlabeled if p not in set(tests)]
    if others:
        data.notes.append(
            f'{len(others)} images have no mask and are left out: '
            f'{shorten(others, 3)}'
        )
