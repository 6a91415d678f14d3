"""One small data set in every layout that people keep such data in."""

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

CLASSES = ('bolt', 'nut', 'washer')
Box = tuple[int, int, int, int]


class Shot(NamedTuple):
    """An image with its boxes: label, and left, top, width and height."""

    name: str
    size: tuple[int, int]
    boxes: list[tuple[int, Box]]


def make_shots(count: int = 8, seed: int = 0) -> dict[str, list[Shot]]:
    """Make up ``count`` images for train and half as many for val."""
    rng = np.random.default_rng(seed)
    shots = {}
    for split, number in (('train', count), ('val', count // 2)):
        shots[split] = []
        for index in range(number):
            width, height = 96 + 8 * (index % 3), 72 + 4 * (index % 2)
            boxes = []
            for k in range(1 + index % 3):
                w, h = (int(v) for v in rng.integers(16, 40, 2))
                x = int(rng.integers(0, width - w))
                y = int(rng.integers(0, height - h))
                boxes.append(((index + k) % len(CLASSES), (x, y, w, h)))
            shots[split].append(
                Shot(f'{split}_{index}', (width, height), boxes)
            )
    return shots


def save_image(folder: Path, shot: Shot, suffix: str = '.png') -> Path:
    """Draw the boxes of an image as plain rectangles."""
    rng = np.random.default_rng(len(shot.name) + shot.size[0])
    image = rng.integers(0, 60, (*shot.size[::-1], 3), dtype=np.uint8)
    for label, (x, y, w, h) in shot.boxes:
        image[y : y + h, x : x + w] = 80 + 60 * label
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f'{shot.name}{suffix}'
    Image.fromarray(image).save(path)
    return path


def polygon_of(box: Box) -> list[int]:
    """The corners of a box, clockwise."""
    x, y, w, h = box
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def coco_content(shots: list[Shot], first_id: int = 1) -> dict:
    """COCO's form of some images."""
    images, annotations = [], []
    for index, shot in enumerate(shots):
        images.append(
            dict(
                id=index,
                file_name=f'{shot.name}.png',
                width=shot.size[0],
                height=shot.size[1],
            )
        )
        for label, box in shot.boxes:
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=index,
                    category_id=first_id + label,
                    bbox=list(box),
                    area=box[2] * box[3],
                    iscrowd=0,
                    segmentation=[polygon_of(box)],
                )
            )
    categories = [
        dict(id=first_id + i, name=name, supercategory='part')
        for i, name in enumerate(CLASSES)
    ]
    return dict(images=images, annotations=annotations, categories=categories)


def write_coco(root: Path, shots: dict[str, list[Shot]]) -> Path:
    """COCO's own folders: train, val, annotations/instances_*.json."""
    for split, items in shots.items():
        for shot in items:
            save_image(root / split, shot)
        path = root / 'annotations' / f'instances_{split}.json'
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(coco_content(items)))
    return root


def write_roboflow(root: Path, shots: dict[str, list[Shot]]) -> Path:
    """A JSON in each split's folder, and a category that heads the group."""
    for split, items in shots.items():
        folder = root / dict(val='valid').get(split, split)
        for shot in items:
            save_image(folder, shot)
        content = coco_content(items)
        content['categories'].insert(
            0, dict(id=0, name='part', supercategory='none')
        )
        (folder / '_annotations.coco.json').write_text(json.dumps(content))
    return root


def write_yolo(
    root: Path, shots: dict[str, list[Shot]], polygons: bool = False
) -> Path:
    """images/ and labels/ with a folder a split, and data.yaml."""
    for split, items in shots.items():
        labels = root / 'labels' / split
        labels.mkdir(parents=True, exist_ok=True)
        for shot in items:
            save_image(root / 'images' / split, shot)
            lines = [
                yolo_line(label, box, shot.size, polygons)
                for label, box in shot.boxes
            ]
            (labels / f'{shot.name}.txt').write_text('\n'.join(lines))
    names = '\n'.join(f'  {i}: {name}' for i, name in enumerate(CLASSES))
    (root / 'data.yaml').write_text(
        f'path: {root}\ntrain: images/train\nval: images/val\n'
        f'names:\n{names}\n'
    )
    return root


def yolo_line(
    label: int, box: Box, size: tuple[int, int], polygon: bool = False
) -> str:
    """A line of a label file."""
    width, height = size
    if polygon:
        values = [
            v / (height if i % 2 else width)
            for i, v in enumerate(polygon_of(box))
        ]
    else:
        x, y, w, h = box
        values = [
            (x + w / 2) / width,
            (y + h / 2) / height,
            w / width,
            h / height,
        ]
    return ' '.join([str(label), *(f'{v:.10f}' for v in values)])


def write_voc(root: Path, shots: dict[str, list[Shot]]) -> Path:
    """JPEGImages, Annotations and ImageSets/Main."""
    lists = root / 'ImageSets' / 'Main'
    lists.mkdir(parents=True)
    (root / 'Annotations').mkdir()
    for split, items in shots.items():
        for shot in items:
            save_image(root / 'JPEGImages', shot)
            path = root / 'Annotations' / f'{shot.name}.xml'
            path.write_text(voc_text(shot))
        text = '\n'.join(shot.name for shot in items)
        (lists / f'{split}.txt').write_text(f'{text}\n')
    return root


def voc_text(shot: Shot) -> str:
    """The annotation of an image."""
    objects = ''.join(
        f'<object><name>{CLASSES[label]}</name><bndbox><xmin>{x}</xmin>'
        f'<ymin>{y}</ymin><xmax>{x + w}</xmax><ymax>{y + h}</ymax></bndbox>'
        '</object>'
        for label, (x, y, w, h) in shot.boxes
    )
    width, height = shot.size
    return (
        f'<annotation><filename>{shot.name}.png</filename><size>'
        f'<width>{width}</width><height>{height}</height><depth>3</depth>'
        f'</size>{objects}</annotation>'
    )


def write_labelme(root: Path, shots: dict[str, list[Shot]]) -> Path:
    """A JSON of shapes beside each image, in a folder a split."""
    for split, items in shots.items():
        for shot in items:
            save_image(root / split, shot)
            shapes = [
                dict(
                    label=CLASSES[label],
                    points=np.reshape(polygon_of(box), (4, 2)).tolist(),
                    shape_type='polygon',
                    group_id=None,
                    flags={},
                )
                for label, box in shot.boxes
            ]
            content = dict(
                version='5.4.1',
                shapes=shapes,
                imagePath=f'{shot.name}.png',
                imageData=None,
                imageWidth=shot.size[0],
                imageHeight=shot.size[1],
            )
            path = root / split / f'{shot.name}.json'
            path.write_text(json.dumps(content))
    return root


DETECTION = dict(
    coco=write_coco,
    roboflow=write_roboflow,
    yolo=write_yolo,
    voc=write_voc,
    labelme=write_labelme,
)
