"""Pair images with masks by the names of folders and files."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lvt_dense.utils.files import IMAGE_SUFFIXES
from lvt_dense.utils.text import fold

from .split_names import PLAIN_WORDS, words_of
from .tree import Tree

_MASK_WORDS = {
    *('mask', 'masks', 'label', 'labels', 'annotation', 'annotations'),
    *('annot', 'ann', 'anns', 'gt', 'gts', 'gtfine', 'gtcoarse'),
    *('groundtruth', 'segmentation', 'segmentationclass', 'seg', 'semantic'),
    *('segmentationclassaug', 'segmentationclasspng', 'trimap', 'trimaps'),
    *('trainannot', 'valannot', 'testannot', 'segmaps', 'segmap', 'target'),
    *('lbl', 'targets', 'maskss', 'stuffthingmaps'),
}
_IMAGE_WORDS = {
    *('image', 'images', 'img', 'imgs', 'jpegimages', 'jpeg', 'input'),
    *('leftimg', 'rgb', 'raw', 'pictures', 'photos', 'inputs', 'sat'),
}
# Words of a whole data set: such a folder tells nothing of what is in it.
_SET_WORDS = {'data', 'dataset', 'set', 'coco', 'yolo', 'voc', 'split'}
_NO_MASKS = {'segmentationobject', 'instances'}
_NO_MASK_END = re.compile(
    r'(_colou?r|_instance(Train)?Ids|_instances|_vis|_viz|_overlay)$'
)
# The longest first.
_MASK_ENDS = (
    *('_gtFine_labelTrainIds', '_gtCoarse_labelTrainIds'),
    *('_gtFine_labelIds', '_gtCoarse_labelIds', '_labelTrainIds'),
    *('_labelIds', '_train_id', '_segmentation', '_groundtruth'),
    *('_annotation', '_trimap', '_labels', '_label', '_masks', '_mask'),
    *('_Mask', '_seg', '_ann', '_lbl', '_gt', '_GT', '_L', '_P'),
    *('-mask', '.mask', '-label', '-gt', '-seg'),
)
_IMAGE_ENDS = (
    *('_leftImg8bit', '_image', '_img', '_sat', '_rgb', '-image', '-img'),
)
_STARTS = re.compile(
    r'^(mask|label|gt|seg|image|img|sat|rgb)s?[_-]', re.IGNORECASE
)


_NUMBERED = re.compile(r'[_-](mask|label|gt|seg)s?[_-]?\d+$', re.IGNORECASE)


@dataclass
class MaskFiles:
    """Images and masks that go together.

    Attributes:
        pairs: Mask of each image.
        unlabeled: Images without a mask.
        orphans: Masks without an image.
        several: Images with several masks, which are no pairs.
    """

    pairs: dict[Path, Path]
    unlabeled: list[Path]
    orphans: list[Path]
    several: list[Path]


def pair_masks(tree: Tree) -> MaskFiles | None:
    """Pair images with masks; None if no mask is recognized."""
    images, masks = _by_folder(tree)
    if not masks or not images:
        images, masks = _by_end(images + masks)
    if not masks:
        images, masks = _by_suffix(tree)
    if not masks:
        return None
    return _pair(tree, images, masks)


def _by_folder(tree: Tree) -> tuple[list[Path], list[Path]]:
    """Tell masks by the folder that speaks of what is in it.

    Folders that all pictures share tell nothing.
    """
    folders = [tree.relative(p).split('/')[:-1] for p in tree.images]
    shared = len(os.path.commonprefix(folders)) if folders else 0
    kinds: dict[tuple, str | None] = {}
    images, masks = [], []
    for path, parts in zip(tree.images, folders):
        key = tuple(parts[shared:])
        if key not in kinds:
            named = (kind_of(part) for part in reversed(key))
            kinds[key] = next(filter(None, named), None)
        if kinds[key] == 'none':
            continue
        if kinds[key] != 'mask':
            images.append(path)
        elif not _NO_MASK_END.search(path.stem):
            masks.append(path)
    return images, masks


def kind_of(folder: str) -> str | None:
    """Tell what a folder holds by its name.

    Returns:
        ``'mask'``, ``'image'``, ``'none'`` for masks of instances, or None.
    """
    words = words_of(folder)
    if words & _NO_MASKS:
        return 'none'
    if not words <= PLAIN_WORDS | _MASK_WORDS | _IMAGE_WORDS or (
        words & _SET_WORDS
    ):
        return None
    if words & _MASK_WORDS:
        return 'mask'
    return 'image' if words & _IMAGE_WORDS else None


def _by_end(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Take x_mask beside x, or beside x_sat, for its mask."""
    bases = {(p.parent, fold(p.stem)) for p in paths}
    for path in paths:
        base = _strip(path.stem, _IMAGE_ENDS)
        if base != path.stem:
            bases.add((path.parent, fold(base)))
    images, masks = [], []
    for path in paths:
        base = _NUMBERED.sub('', _strip(path.stem, _MASK_ENDS))
        if base != path.stem and (path.parent, fold(base)) in bases:
            masks.append(path)
        elif not _NO_MASK_END.search(path.stem):
            images.append(path)
    return images, masks


def _by_suffix(tree: Tree) -> tuple[list[Path], list[Path]]:
    """Take x.png beside x.jpg for its mask."""
    images, masks = [], []
    for same in tree.images_by_stem.values():
        folders = {p.parent for p in same}
        pngs = [p for p in same if p.suffix.lower() == '.png']
        if len(same) == 2 and len(pngs) == 1 and len(folders) == 1:
            masks += pngs
            images += [p for p in same if p not in pngs]
    return images, masks


def _strip(stem: str, ends: Iterable[str]) -> str:
    for end in ends:
        if stem.endswith(end) and len(stem) > len(end):
            return stem[: -len(end)]
    return stem


def _pair(tree: Tree, images: list[Path], masks: list[Path]) -> MaskFiles:
    by_key: dict[tuple, list[Path]] = defaultdict(list)
    for path in masks:
        place = _place(tree, path)
        base = _base_of(path)
        for name in {base, _STARTS.sub('', base)}:
            for split in {place[0], None}:
                key = split, place[1], name
                by_key[key].append(path)
    pairs = {}
    for path in images:
        mask = _mask_of(tree, path, by_key)
        if mask is not None:
            pairs[path] = mask
    used = set(pairs.values())
    _pair_by_name(pairs, images, [p for p in masks if p not in used])
    used = set(pairs.values())
    orphans = _without_twins(masks, used)
    several = _with_more(tree, pairs, orphans)
    return MaskFiles(
        {p: m for p, m in pairs.items() if p not in several},
        [p for p in images if p not in pairs],
        [p for p in orphans if p not in several.values()],
        list(several),
    )


def _with_more(
    tree: Tree, pairs: dict[Path, Path], orphans: list[Path]
) -> dict[Path, Path]:
    """Find the images that have a mask x_mask_1 besides x_mask."""
    images = {(_place(tree, m), _base_of(m)): p for p, m in pairs.items()}
    found = {}
    for path in orphans:
        base = fold(_NUMBERED.sub('', path.stem))
        image = images.get((_place(tree, path), base))
        if image is not None:
            found[image] = path
    return found


def _base_of(mask: Path) -> str:
    """Return the name of the image in that of a mask, folded.

    The mask of x.jpg may be x_mask.png, or x.jpg.png.
    """
    stem = _strip(mask.stem, _MASK_ENDS)
    inner, suffix = os.path.splitext(stem)
    return fold(inner if suffix.lower() in IMAGE_SUFFIXES else stem)


def _place(tree: Tree, path: Path) -> tuple:
    """Return what an image and its mask share: the split and folders."""
    parts = tree.relative(path).split('/')[:-1]
    rest = tuple(
        p.lower()
        for p in parts
        if kind_of(p) is None and tree.split_of([p]) is None
    )
    return tree.split_of(parts), rest


def _names(stem: str) -> list[str]:
    """Return the names that the mask of an image may have, likely first."""
    base = _strip(stem, _IMAGE_ENDS)
    names = (stem, base, _STARTS.sub('', stem), _STARTS.sub('', base))
    return [fold(n) for n in dict.fromkeys(names)]


def _mask_of(
    tree: Tree, path: Path, by_key: dict[tuple, list[Path]]
) -> Path | None:
    split, rest = _place(tree, path)
    for name in _names(path.stem):
        for key in ((split, rest, name), (None, rest, name)):
            found = list(dict.fromkeys(by_key.get(key, [])))
            if key[0] != split:  # a mask that lies in no split
                found = [p for p in found if _place(tree, p)[0] is None]
            if len(found) == 1:
                return found[0]
            same = [p for p in found if p.stem == path.stem]
            if len(same) == 1:
                return same[0]
            ids = sorted(found, key=lambda p: not p.stem.endswith('TrainIds'))
            if ids and ids[0].stem.endswith('TrainIds'):
                return ids[0]  # Cityscapes with both kinds of ids
    return None


def _pair_by_name(
    pairs: dict[Path, Path], images: list[Path], masks: list[Path]
) -> None:
    """Pair what is left where names are unique, whatever the folders."""
    by_name: dict[str, list[Path]] = defaultdict(list)
    for path in masks:
        by_name[_base_of(path)].append(path)
    open_images: dict[str, list[Path]] = defaultdict(list)
    for path in images:
        open_images[fold(_strip(path.stem, _IMAGE_ENDS))].append(path)
    for name, same in open_images.items():
        found = by_name.get(name, [])
        if len(same) == len(found) == 1 and same[0] not in pairs:
            pairs[same[0]] = found[0]


def _without_twins(masks: list[Path], used: set[Path]) -> list[Path]:
    """Return the masks that no image has, not in another form either."""
    known = {(p.parent, _strip(p.stem, _MASK_ENDS)) for p in used}
    return [
        p
        for p in masks
        if p not in used
        and (p.parent, _strip(p.stem, _MASK_ENDS)) not in known
    ]
