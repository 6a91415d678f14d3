"""The rendered scenes in the layout of COCO 2017."""

import json
import os
from pathlib import Path

import numpy as np

from lvt_dense.scenes.frame import Frame, RoadUser
from lvt_dense.scenes.layout import FAR_PROFILE, NEAR_PROFILE

from .common import Series, save_image, stage_folder

# All of COCO's categories, so that its configs fit without a change.
_CATEGORIES = (
    ('person', 'person'),
    ('vehicle', 'bicycle,car,motorcycle,airplane,bus,train,truck,boat'),
    ('outdoor', 'traffic light,fire hydrant,,stop sign,parking meter,bench'),
    (
        'animal',
        'bird,cat,dog,horse,sheep,cow,elephant,bear,zebra,giraffe',
    ),
    ('accessory', ',backpack,umbrella,,,handbag,tie,suitcase'),
    (
        'sports',
        'frisbee,skis,snowboard,sports ball,kite,baseball bat,'
        'baseball glove,skateboard,surfboard,tennis racket',
    ),
    ('kitchen', 'bottle,,wine glass,cup,fork,knife,spoon,bowl'),
    (
        'food',
        'banana,apple,sandwich,orange,broccoli,carrot,hot dog,pizza,donut,'
        'cake',
    ),
    ('furniture', 'chair,couch,potted plant,bed,,dining table,,,toilet,'),
    ('electronic', 'tv,laptop,mouse,remote,keyboard,cell phone'),
    ('appliance', 'microwave,oven,toaster,sink,refrigerator,'),
    (
        'indoor',
        'book,clock,vase,scissors,teddy bear,hair drier,toothbrush',
    ),
)
_CATEGORY_IDS = {'pedestrian': 1, 'cyclist': 2, 'car': 3}
# What is hidden further, or smaller, cannot be told from its surroundings.
_MIN_VISIBLE = 0.1
_MIN_AREA = 24


def coco_categories() -> list[dict]:
    """Return COCO's 80 categories with their ids of 1 to 90."""
    categories, number = [], 0
    for group, names in _CATEGORIES:
        for name in names.split(','):
            number += 1
            if name:  # ids without a name are not in use
                categories.append(
                    dict(supercategory=group, id=number, name=name)
                )
    return categories


def encode_run_lengths(mask: np.ndarray) -> dict:
    """Encode a mask (H, W) as COCO's uncompressed run lengths."""
    flat = np.concatenate([[False], mask.T.ravel().astype(bool)])
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(changes, prepend=0, append=mask.size)
    return dict(size=list(mask.shape), counts=counts.tolist())


def _annotation(frame: Frame, user: RoadUser, image_id: int) -> dict:
    x1, y1, x2, y2 = user.box.tolist()
    return dict(
        id=1000 * image_id + user.number,
        image_id=image_id,
        category_id=_CATEGORY_IDS[user.kind],
        bbox=[x1, y1, x2 - x1, y2 - y1],
        area=user.area,
        iscrowd=0,
        segmentation=encode_run_lengths(frame.instances == user.number),
    )


def _instances(images: list[dict], annotations: list[dict]) -> dict:
    """Return the content of an annotation file."""
    return dict(
        info=dict(description='Rendered road scenes', year=2017),
        licenses=[],
        images=images,
        annotations=annotations,
        categories=coco_categories(),
    )


def write_coco(
    out_dir: str | os.PathLike,
    num_images: int,
    seed: int = 0,
    size: tuple[int, int] = (320, 240),
    val_fraction: float = 0.25,
    overwrite: bool = False,
    progress: bool = False,
    far: bool = False,
) -> Path:
    """Write train2017, val2017 and annotations/instances_*2017.json.

    Pedestrians are 'person', cars 'car'. A cyclist is one 'bicycle', whose
    box and mask take in the rider: the rider is no 'person' of their own.
    Road users of which less than 10 % or 24 pixels show are not annotated.

    Args:
        out_dir: Folder of the data set; must be new or empty.
        num_images: Number of images, train and val together.
        seed: Selects the series of scenes.
        size: Width and height in pixels.
        val_fraction: Share of val, in [0, 1).
        overwrite: Replace an older data set of this kind.
        progress: Show a progress bar.
        far: Render many distant road users instead of few near ones.

    Returns:
        ``out_dir``.

    Raises:
        UserError: An argument or the folder cannot be used.
    """
    series = Series(num_images, seed, size, val_fraction)
    profile = FAR_PROFILE if far else NEAR_PROFILE
    with stage_folder(out_dir, 'coco', series, overwrite) as work:
        images: dict[str, list[dict]] = {'train': [], 'val': []}
        annotations: dict[str, list[dict]] = {'train': [], 'val': []}
        for part in images:
            (work / f'{part}2017').mkdir()
        for index, frame in series.frames(profile, progress):
            part, image_id = series.part(index), index + 1
            name = f'{image_id:012d}.jpg'
            save_image(work / f'{part}2017' / name, frame.image)
            images[part].append(
                dict(id=image_id, file_name=name, width=size[0],
                     height=size[1])
            )  # fmt: skip
            annotations[part] += [
                _annotation(frame, user, image_id)
                for user in frame.users
                if user.visible >= _MIN_VISIBLE and user.area >= _MIN_AREA
            ]
        (work / 'annotations').mkdir()
        for part in images:
            content = _instances(images[part], annotations[part])
            path = work / 'annotations' / f'instances_{part}2017.json'
            path.write_text(json.dumps(content))
    return Path(out_dir)
