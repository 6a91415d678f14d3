"""Cut the objects of a COCO data set into a folder of images a class.

    python projects/pretrain/crop_objects.py data/coco data/crops --classes 10

Each object is cut out as a square around its box, with some of what is around
it. All objects of an image go to one split, ``train`` or ``val``.
"""

import argparse
import random
import shutil
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import mmcv
import numpy as np
from tqdm import tqdm

from lvt_dense.commands.parser import command
from lvt_dense.datasets.coco_check import check_coco
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import read_json

SEED = 0  # of the split


def parse_args() -> argparse.Namespace:
    """Arguments of the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('coco', type=Path, help='folder of the data set')
    parser.add_argument('out', type=Path, help='folder that is written')
    parser.add_argument(
        '--annotations',
        default='annotations/instances_train2017.json',
        help='file in the folder',
    )
    parser.add_argument(
        '--images', default='train2017', help='folder of images in the folder'
    )
    parser.add_argument(
        '--classes',
        type=int,
        default=10,
        help='number of classes; those with the most objects are taken',
    )
    parser.add_argument(
        '--size', type=int, default=160, help='side of a crop in pixels'
    )
    parser.add_argument(
        '--min-side',
        type=float,
        default=24,
        help='longer side of the smallest object, in pixels',
    )
    parser.add_argument(
        '--context',
        type=float,
        default=0.1,
        help='what is cut out on each side of a box, over its longer side',
    )
    parser.add_argument(
        '--per-class', type=int, help='largest number of crops a class'
    )
    parser.add_argument(
        '--val-fraction',
        type=float,
        default=0.2,
        help='share of the images whose objects go to val',
    )
    return parser.parse_args()


@command
def main() -> None:
    """Cut the objects, and print how many there are."""
    args = parse_args()
    _check(args)
    content = _read(args.coco / args.annotations)
    chosen = choose_objects(content, args)
    names = sorted({name for name, _ in chosen})
    partial = args.out.with_name(f'{args.out.name}.partial')
    shutil.rmtree(partial, ignore_errors=True)
    try:
        counts = _cut(content, chosen, args, partial)
        partial.rename(args.out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    print(
        f'{args.out}: {counts["train"]} crops to train on and '
        f'{counts["val"]} to validate on, {len(names)} classes: '
        f'{", ".join(names)}'
    )


def _check(args: argparse.Namespace) -> None:
    for name, low, high in (
        ('classes', 2, None),
        ('size', 32, None),
        ('min_side', 1, None),
        ('context', 0, None),
        ('val_fraction', 0.01, 0.99),
    ):
        value = getattr(args, name)
        if value < low or (high is not None and value > high):
            raise UserError(
                f'--{name.replace("_", "-")} {value}: give {low} '
                + (f'to {high}' if high else 'or more')
            )
    if args.per_class is not None and args.per_class < 2:
        raise UserError(f'--per-class {args.per_class}: give 2 or more')
    if args.out.exists():
        raise UserError(f'{args.out} is there already: delete it, or name '
                        'another folder')  # fmt: skip
    for path in (args.coco / args.annotations, args.coco / args.images):
        if not path.exists():
            raise UserError(
                f'{path} is not there; --annotations and --images name the '
                'file and the folder in the folder of the data set'
            )


def _read(path: Path) -> dict[str, Any]:
    fault = check_coco(path).fault
    if fault:
        raise UserError(f'annotation file {path}: {fault}')
    return read_json(path)


def choose_objects(
    content: dict[str, Any], args: argparse.Namespace
) -> list[tuple[str, dict]]:
    """Choose the objects of the most frequent classes.

    Args:
        content: An annotation file of COCO.
        args: Arguments of the command line.

    Returns:
        Name of the class and annotation of each object.

    Raises:
        UserError: There are fewer classes with objects of that size.
    """
    names = {item['id']: item['name'] for item in content['categories']}
    by_class = defaultdict(list)
    for item in content['annotations']:
        is_large = max(item['bbox'][2:]) >= args.min_side
        if is_large and min(item['bbox'][2:]) >= 1 and not item.get('iscrowd'):
            by_class[names[item['category_id']]].append(item)
    counts = Counter({name: len(items) for name, items in by_class.items()})
    if len(counts) < args.classes:
        raise UserError(
            f'--classes {args.classes}: only {len(counts)} classes have '
            f'objects of {args.min_side:g} pixels or more'
        )
    numbers = random.Random(SEED)
    chosen = []
    for name, count in counts.most_common(args.classes):
        items = by_class[name]
        if args.per_class and count > args.per_class:
            items = numbers.sample(items, args.per_class)
        chosen += [(name, item) for item in items]
    return chosen


def split_images(chosen: list[tuple[str, dict]], fraction: float) -> set:
    """Choose the images to validate on, at least one of every class.

    Args:
        chosen: See :func:`choose_objects`.
        fraction: Share of the images.

    Returns:
        Their ids.

    Raises:
        UserError: A class is in too few images.
    """
    by_class = defaultdict(set)
    for name, item in chosen:
        by_class[name].add(item['image_id'])
    images = sorted({item['image_id'] for _, item in chosen})
    random.Random(SEED).shuffle(images)
    val = set(images[: max(1, round(fraction * len(images)))])
    # the rarest class first, which has the least choice
    for name in sorted(by_class, key=lambda name: (len(by_class[name]), name)):
        there = sorted(by_class[name])
        if val.issuperset(there):
            val.discard(there[0])
        elif val.isdisjoint(there):
            val.add(there[0])
    for name, there in by_class.items():
        if val.issuperset(there) or val.isdisjoint(there):
            raise UserError(
                f'class {name!r} is in {len(there)} images, too few to train '
                'and to validate on: ask for fewer --classes, or for smaller '
                'objects by --min-side'
            )
    return val


def _cut(
    content: dict[str, Any],
    chosen: list[tuple[str, dict]],
    args: argparse.Namespace,
    out: Path,
) -> Counter:
    files = {item['id']: item['file_name'] for item in content['images']}
    val = split_images(chosen, args.val_fraction)
    by_image = defaultdict(list)
    for name, item in chosen:
        by_image[item['image_id']].append((name, item))
    counts: Counter = Counter()
    for image_id, objects in tqdm(by_image.items(), 'cutting', unit='image'):
        path = args.coco / args.images / files[image_id]
        image = mmcv.imread(path) if path.is_file() else None
        if image is None:
            raise UserError(f'image {path} is missing or cannot be read')
        split = 'val' if image_id in val else 'train'
        for name, item in objects:
            crop = cut_square(image, item['bbox'], args.context, args.size)
            folder = out / split / name.replace('/', '_')
            mmcv.imwrite(crop, str(folder / f'{item["id"]}.jpg'))
            counts[split] += 1
    return counts


def cut_square(
    image: np.ndarray, box: list[float], context: float, size: int
) -> np.ndarray:
    """Cut out the square around a box; gray is where the image ends.

    Args:
        image: (H, W, 3).
        box: Left, top, width and height in pixels.
        context: Margin on each side, over the longer side of the box.
        size: Side of the result in pixels.
    """
    left, top, width, height = box
    side = max(2, round(max(width, height) * (1 + 2 * context)))
    x = round(left + width / 2 - side / 2)
    y = round(top + height / 2 - side / 2)
    bounds = np.array([x, y, x + side - 1, y + side - 1])
    # mmcv clips to the image, so that the square is placed by hand
    rows, columns = image.shape[:2]
    square = np.full((side, side, 3), 114, dtype=image.dtype)
    x1, y1 = max(x, 0), max(y, 0)
    x2, y2 = min(bounds[2] + 1, columns), min(bounds[3] + 1, rows)
    square[y1 - y : y2 - y, x1 - x : x2 - x] = image[y1:y2, x1:x2]
    return mmcv.imresize(square, (size, size), interpolation='area')


if __name__ == '__main__':
    main()
