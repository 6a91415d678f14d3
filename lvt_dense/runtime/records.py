"""What is known of all images, and the formats that hold it in one file."""

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .errors import InputError
from .files import open_whole, write_text
from .predictor import Found

Record = dict[str, Any]
BOX = ('x1', 'y1', 'x2', 'y2')
BOX_3D = ('x', 'y', 'z', 'length', 'height', 'width', 'yaw')


def make_record(
    origin: str,
    picture: str | None,
    shape: tuple[int, int],
    found: Found,
    classes: Sequence[str],
) -> Record:
    """Return what JSON holds of one image.

    Args:
        origin: The image.
        picture: Path of the drawing.
        shape: Height and width of the image.
        found: What was found.
        classes: Names of the classes.
    """
    record: Record = dict(image=origin)
    if picture is not None:
        record['picture'] = picture
    record['height'], record['width'] = shape
    if isinstance(found, np.ndarray):
        values, counts = np.unique(found, return_counts=True)
        names = (classes[v] if v < len(classes) else str(v) for v in values)
        record['pixels'] = dict(zip(names, counts.tolist()))
    else:
        record['objects'] = [item.as_dict() for item in found]
    return record


def write_json(out: Path, records: Iterable[Record]) -> None:
    """Write ``predictions.json``: a list with one entry an image."""
    with open_whole(out / 'predictions.json') as file:
        file.write('[')
        for number, record in enumerate(records):
            text = json.dumps(record, indent=1)
            file.write(f'{"," if number else ""}\n{text}')
        file.write('\n]\n')


def write_csv(out: Path, records: Iterable[Record]) -> None:
    """Write ``predictions.csv``: a line an object, or a class of an image."""
    with open_whole(out / 'predictions.csv', newline='') as file:
        writer = csv.writer(file)
        header: list[str] | None = None
        for record in records:
            for row in _rows(record):
                if header is None:
                    header = list(row)
                    writer.writerow(header)
                writer.writerow(row.values())
        if header is None:
            writer.writerow(['image', 'label', 'score', *BOX])


def _rows(record: Record) -> Iterator[dict[str, Any]]:
    for label, count in record.get('pixels', {}).items():
        yield dict(image=record['image'], label=label, pixels=count)
    for item in record.get('objects', ()):
        row = dict(
            image=record['image'], label=item['label'], score=item['score']
        )
        row.update(zip(BOX, item['box']))
        if 'mask_area' in item:
            row['mask_area'] = item['mask_area']
        row.update(zip(BOX_3D, item.get('box_3d', ())))
        yield row


class CocoIds:
    """The numbers that COCO gives images and classes.

    Args:
        classes: Names of the model's classes.
        annotations: COCO annotation file whose numbers are taken; without
            one images and classes are counted from 1.

    Raises:
        InputError: The file is no such file, or lacks a class.
    """

    def __init__(
        self, classes: Sequence[str], annotations: str | None = None
    ) -> None:
        self.source = annotations
        self.images: dict[str, int] = {}
        self.categories = list(range(1, len(classes) + 1))
        if annotations is None:
            return
        try:
            content = json.loads(Path(annotations).read_text('utf-8-sig'))
            names = {c['name']: c['id'] for c in content['categories']}
            self.images = {
                image['file_name']: image['id'] for image in content['images']
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f'--annotations {annotations} is no COCO annotation file: '
                f'{error!r}'
            ) from error
        missing = [name for name in classes if name not in names]
        if missing:
            raise InputError(
                f'--annotations {annotations} has no category {missing[0]}, '
                f'a class of the model; it has {", ".join(list(names)[:10])}'
            )
        self.categories = [names[name] for name in classes]

    def image_id(self, origin: str) -> int:
        """Return the number of an image.

        Raises:
            InputError: The annotation file has none, or several with its
                name.
        """
        if self.source is None:
            return self.images.setdefault(origin, len(self.images) + 1)
        path = Path(origin).as_posix()
        ends = [n for n in self.images if f'/{path}'.endswith(f'/{n}')]
        if ends:
            return self.images[max(ends, key=len)]
        same = [n for n in self.images if Path(n).name == Path(path).name]
        if len(same) != 1:
            raise InputError(
                f'{origin} is {"more than once" if same else "not"} in '
                f'--annotations {self.source}'
            )
        return self.images[same[0]]


def write_coco_results(
    out: Path,
    records: Iterable[Record],
    ids: CocoIds,
    classes: Sequence[str],
) -> None:
    """Write ``coco_results.json``, in the form of COCO's results.

    Without an annotation file that has numbers for the images,
    ``coco_images.json`` says which they were given.
    """
    images = []
    with open_whole(out / 'coco_results.json') as file:
        file.write('[')
        first = True
        for record in records:
            number = ids.image_id(record['image'])
            images.append(_coco_image(record, number))
            for item in record['objects']:
                entry = _coco_entry(item, number, ids)
                comma = '' if first else ','
                file.write(f'{comma}\n{json.dumps(entry)}')
                first = False
        file.write('\n]\n')
    if ids.source is None:
        content = dict(
            images=images,
            categories=[
                dict(id=i, name=n) for i, n in zip(ids.categories, classes)
            ],
        )
        write_text(out / 'coco_images.json', json.dumps(content) + '\n')


def _coco_image(record: Record, number: int) -> Record:
    return dict(
        id=number,
        file_name=record['image'],
        height=record['height'],
        width=record['width'],
    )


def _coco_entry(item: Record, image: int, ids: CocoIds) -> Record:
    x1, y1, x2, y2 = item['box']
    entry = dict(
        image_id=image,
        category_id=ids.categories[item['index']],
        bbox=[x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
        score=item['score'],
    )
    if 'mask' in item:
        entry['segmentation'] = item['mask']
    return entry
