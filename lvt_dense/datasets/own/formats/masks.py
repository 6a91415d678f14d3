"""Folders of images and of semantic masks."""

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import read_lines
from lvt_dense.utils.text import shorten

from .color_tables import find_table, read_table
from .labeled_data import ALL, LabeledData, Sample
from .tree import Tree, split_of

LAYOUT = 'folders of images and masks'
LOOKED_FOR = (
    'images with masks of the same names (folders such as images/ and '
    'masks/, labels/ or annotations/, or x.jpg beside x_mask.png)'
)
_MASK_WORDS = {
    *('mask', 'masks', 'label', 'labels', 'annotation', 'annotations'),
    *('annot', 'ann', 'gt', 'gtfine', 'groundtruth', 'segmentation'),
    *('segmentationclass', 'segmentationclassaug', 'segmentationclasspng'),
    *('seg', 'semantic', 'trainannot', 'valannot', 'testannot'),
}
_IMAGE_WORDS = {
    *('image', 'images', 'img', 'imgs', 'jpegimages', 'jpeg', 'input'),
    *('leftimg', 'rgb', 'raw', 'pictures', 'photos', 'dir', 'bit'),
}
_NO_MASKS = {'segmentationobject', 'instances'}
_MASK_END = re.compile(
    r'(_gtFine_labelTrainIds|_labelTrainIds|_labelIds|_mask|_masks|_label'
    r'|_labels|_L|_P|_gt|_seg|_segmentation|_annotation|_ann|-mask|\.mask)$'
)
_IMAGE_END = re.compile(r'(_leftImg8bit|_image|_img|_sat|_rgb)$')
_LISTS = ('train', 'val', 'test', 'trainval')


@dataclass
class MaskFiles:
    """Images and masks that go together.

    Attributes:
        pairs: Mask of each image.
        unlabeled: Images without a mask.
        orphans: Masks without an image.
    """

    pairs: dict[Path, Path]
    unlabeled: list[Path]
    orphans: list[Path]


def find(tree: Tree) -> MaskFiles | None:
    """Pair images with masks; None if no mask is recognized."""
    masks = [p for p in tree.images if _is_mask(tree, p)]
    chosen = set(masks)
    images = [
        p
        for p in tree.images
        if p not in chosen and not _words(tree, p) & _NO_MASKS
    ]
    if not masks:
        images, masks = _beside(tree)
    if not masks:
        return None
    by_key: dict[tuple, list[Path]] = defaultdict(list)
    for path in masks:
        by_key[_key(tree, path, _MASK_END)].append(path)
    pairs, unlabeled = {}, []
    for path in images:
        mask = _mask_of(tree, path, by_key)
        if mask is None:
            unlabeled.append(path)
        else:
            pairs[path] = mask
    used = set(pairs.values())
    orphans = [p for p in masks if p not in used]
    return MaskFiles(pairs, unlabeled, orphans)


def _words(tree: Tree, path: Path) -> set[str]:
    """Return the words in the names of a file's folders."""
    folders = path.relative_to(tree.root).parts[:-1]
    return {w for f in folders for w in re.findall('[a-z]+', f.lower())}


def _is_mask(tree: Tree, path: Path) -> bool:
    words = _words(tree, path)
    if words & _NO_MASKS:
        return False
    if words & _MASK_WORDS and not path.stem.endswith('_color'):
        return True
    end = _MASK_END.search(path.stem)
    if not end:
        return False
    base = path.stem[: end.start()].lower()
    return any(
        p.parent == path.parent for p in tree.images_by_stem.get(base, ())
    )


def _beside(tree: Tree) -> tuple[list[Path], list[Path]]:
    """Take x.png beside x.jpg for its mask."""
    images, masks = [], []
    for same in tree.images_by_stem.values():
        folders = {p.parent for p in same}
        pngs = [p for p in same if p.suffix.lower() == '.png']
        if len(same) == 2 and len(pngs) == 1 and len(folders) == 1:
            masks += pngs
            images += [p for p in same if p not in pngs]
    return images, masks


def _key(tree: Tree, path: Path, end: re.Pattern) -> tuple:
    """Return what an image and its mask share: split, folders, name."""
    parts = path.relative_to(tree.root).parts[:-1]
    rest = tuple(p.lower() for p in parts if not _is_generic(p))
    return split_of(parts), rest, end.sub('', path.stem).lower()


def _is_generic(part: str) -> bool:
    words = set(re.findall('[a-z]+', part.lower()))
    return split_of([part]) is not None or bool(
        words & (_MASK_WORDS | _IMAGE_WORDS)
    )


def _mask_of(
    tree: Tree, path: Path, by_key: dict[tuple, list[Path]]
) -> Path | None:
    exact = _key(tree, path, re.compile('$^'))
    stripped = _key(tree, path, _IMAGE_END)
    for split, rest, stem in (exact, stripped):
        for key in ((split, rest, stem), (None, rest, stem)):
            found = by_key.get(key, [])
            if len(found) == 1:
                return found[0]
            same = [p for p in found if p.stem == path.stem]
            if len(same) == 1:
                return same[0]
    return None


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
    if table is not None:
        data.table = read_table(table)
        data.notes.append(f'the classes are those of {tree.relative(table)}')
    by_split = _listed(tree, found, data) or _by_folder(tree, found, data)
    for split, paths in by_split.items():
        data.splits[split] = [
            Sample(path, mask=found.pairs[path]) for path in sorted(paths)
        ]
    _note_unlabeled(tree, found, data)
    for path in found.orphans:
        data.findings.add('masks have no image', tree.relative(path))
    return data


def _by_folder(
    tree: Tree, found: MaskFiles, data: LabeledData
) -> dict[str, list[Path]]:
    by_split: dict[str, list[Path]] = defaultdict(list)
    for path in found.pairs:
        parts = path.relative_to(tree.root).parts[:-1]
        by_split[split_of(parts) or ALL].append(path)
    if len(by_split) > 1 and ALL in by_split:
        by_split['train'] += by_split.pop(ALL)
    if 'trainval' in by_split:
        key = 'train' if 'train' in by_split or 'val' in by_split else ALL
        by_split[key] += by_split.pop('trainval')
    for split in by_split:
        if split != ALL:
            data.sources[split] = 'by folder'
    return dict(by_split)


def _listed(
    tree: Tree, found: MaskFiles, data: LabeledData
) -> dict[str, list[Path]]:
    """Read the splits of the lists in ImageSets/Segmentation."""
    lists = {
        path.stem.lower(): path
        for path in tree.with_suffix('.txt')
        if path.parent.name.lower() == 'segmentation'
        and path.stem.lower() in _LISTS
    }
    whole = lists.pop('trainval', None)
    if whole and 'train' not in lists:
        lists['train' if 'val' in lists else ALL] = whole
    by_stem = {path.stem: path for path in found.pairs}
    splits = {}
    for split, path in lists.items():
        stems = [Path(line).stem for line in read_lines(path) if line]
        missing = [stem for stem in stems if stem not in by_stem]
        if not stems or len(missing) == len(stems):
            if split == 'test':
                data.unlabeled['test'] = len(stems)
                continue
            raise UserError(
                f'{path}: '
                + (f'none of its {len(stems)} images has a mask: '
                   f'{shorten(missing, 3)}' if stems else 'is empty')
            )  # fmt: skip
        for stem in missing:
            data.findings.add('listed images have no mask', stem)
        splits[split] = [by_stem[s] for s in stems if s in by_stem]
        data.sources[split] = tree.relative(path)
    return splits


def _note_unlabeled(tree: Tree, found: MaskFiles, data: LabeledData) -> None:
    tests = [
        p
        for p in found.unlabeled
        if split_of(p.relative_to(tree.root).parts[:-1]) == 'test'
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
