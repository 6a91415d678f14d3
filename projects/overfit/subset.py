"""Cut a small COCO data set out of a large one, to be trained on by heart.

    python projects/overfit/subset.py data/coco data/coco24 --images 24 \
        --min-area 0.02 --max-objects 4

Takes the first images of the training split that pass. Both splits of the
result hold them, as links to the original files.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

ANNOTATIONS = 'annotations/instances_{}2017.json'


def passes(image: dict, objects: list, args: argparse.Namespace) -> bool:
    """Whether an image has objects, and only such as are wanted."""
    if not 0 < len(objects) <= args.max_objects:
        return False
    area = args.min_area
    if area < 1:
        area *= image['width'] * image['height']
    return all(o['area'] >= area and not o['iscrowd'] for o in objects)


def main() -> None:
    """Write the subset and print its size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('coco', type=Path)
    parser.add_argument('out', type=Path)
    parser.add_argument('--images', type=int, required=True)
    parser.add_argument(
        '--min-area',
        type=float,
        default=0,
        help='of every object, in pixels; below 1, as a share of the image',
    )
    parser.add_argument('--max-objects', type=int, default=1000)
    args = parser.parse_args()
    path = args.coco / ANNOTATIONS.format('train')
    content = json.loads(path.read_text())
    objects = defaultdict(list)
    for item in content['annotations']:
        objects[item['image_id']].append(item)
    images = [
        x for x in content['images'] if passes(x, objects[x['id']], args)
    ]
    content['images'] = images[: args.images]
    content['annotations'] = [
        item for image in content['images'] for item in objects[image['id']]
    ]
    (args.out / 'annotations').mkdir(parents=True, exist_ok=True)
    for split in ('train', 'val'):
        target = args.out / ANNOTATIONS.format(split)
        target.write_text(json.dumps(content))
        link = args.out / f'{split}2017'
        if not link.is_symlink():
            link.symlink_to((args.coco / 'train2017').resolve())
    classes = {item['category_id'] for item in content['annotations']}
    print(
        f'{len(content["images"])} images, {len(content["annotations"])} '
        f'objects, {len(classes)} classes in {args.out}'
    )


if __name__ == '__main__':
    main()
