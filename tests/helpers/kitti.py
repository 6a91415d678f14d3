"""A tiny data set in KITTI's layout, written by hand for the tests."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WIDTH, HEIGHT = 480, 160
P2 = np.array(
    [
        [360.0, 0.0, 240.0, 22.0],
        [0.0, 360.0, 60.0, 0.2],
        [0.0, 0.0, 1.0, 0.003],
    ]
)

# type truncated occluded, x, y, z, l, h, w, ry
OBJECTS = {
    '000000': [
        ('Car', 0.0, 0, -2.0, 1.6, 12.0, 3.9, 1.5, 1.6, -1.57),
        ('Pedestrian', 0.0, 1, 3.0, 1.6, 9.0, 0.8, 1.8, 0.6, 0.3),
        ('Van', 0.1, 2, 5.0, 1.6, 20.0, 5.0, 2.1, 1.9, 1.5),
        ('DontCare',),
    ],
    '000001': [('Cyclist', 0.0, 0, 1.0, 1.7, 15.0, 1.8, 1.7, 0.6, 2.9)],
    '000002': [('DontCare',)],
    '000003': [
        ('Car', 0.0, 0, 0.5, 1.6, 14.0, 4.2, 1.5, 1.7, 3.1),
        ('Car', 0.2, 1, -6.0, 1.6, 13.0, 3.8, 1.6, 1.6, 0.0),
    ],
}


def label_line(item: Sequence[Any]) -> str:
    """A line of a label file, with the 2D box from the 3D box."""
    if item[0] == 'DontCare':
        return (
            'DontCare -1 -1 -10 250.00 30.00 290.00 50.00 -1 -1 -1 -1000 '
            '-1000 -1000 -10'
        )
    name, truncated, occluded, x, y, z, length, h, w, yaw = item
    pixels = []
    for a in (-length / 2, length / 2):
        for b in (-w / 2, w / 2):
            for c in (0, -h):
                point = (
                    x + a * math.cos(yaw) + b * math.sin(yaw),
                    y + c,
                    z - a * math.sin(yaw) + b * math.cos(yaw),
                    1,
                )
                u, v, depth = P2 @ point
                pixels.append((u / depth, v / depth))
    limit = np.array((WIDTH, HEIGHT)) - 1
    low = np.clip(np.min(pixels, 0), 0, limit)
    high = np.clip(np.max(pixels, 0), 0, limit)
    alpha = yaw - math.atan2(x, z)
    numbers = [alpha, *low, *high, h, w, length, x, y, z, yaw]
    text = ' '.join(f'{number:.2f}' for number in numbers)
    return f'{name} {truncated:.2f} {occluded} {text}'


def write_kitti(root: Path) -> Path:
    """Write four labeled frames; train and val have two of them each."""
    training = root / 'training'
    for folder in ('image_2', 'calib', 'label_2'):
        (training / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    values = ' '.join(f'{value:.12e}' for value in P2.reshape(-1))
    for name, objects in OBJECTS.items():
        image = rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(image).save(training / 'image_2' / f'{name}.png')
        (training / 'calib' / f'{name}.txt').write_text(
            f'P1: {values}\nP2: {values}\n\n'
        )
        lines = [label_line(item) for item in objects]
        (training / 'label_2' / f'{name}.txt').write_text(
            '\n'.join(lines) + '\n'
        )
    lists = root / 'ImageSets'
    lists.mkdir()
    names = list(OBJECTS)
    (lists / 'train.txt').write_text('\n'.join(names[:2]) + '\n')
    (lists / 'val.txt').write_text('\n'.join(names[2:]) + '\n')
    (lists / 'trainval.txt').write_text('\n'.join(names))
    return root
