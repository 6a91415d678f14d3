"""Cut the images of a data set into tiles, with their labels."""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from lvt_dense.datasets.own.formats.labeled_data import (
    LabeledData,
    Object,
    Sample,
)
from lvt_dense.runtime.pictures import Picture, open_picture
from lvt_dense.runtime.tiles import Tile, Tiling, cut_tiles
from lvt_dense.utils.cache import cache_dir
from lvt_dense.utils.files import write_atomically

# Share of an object that has to be in a tile to be learned and scored there.
LEAST_SHARE = 0.25


def cut_into_tiles(data: LabeledData, tiling: Tiling) -> None:
    """Replace the images of all splits by their tiles, in place.

    The tiles are written into the cache. They are those that prediction
    with the same tiling sees. An object of which a tile has less than a
    quarter is neither learned nor scored there.

    Args:
        data: Cleaned data with all splits.
        tiling: How images are cut.
    """
    done: dict[int, list[Sample]] = {}
    before = after = 0
    for split, samples in data.splits.items():
        if id(samples) not in done:  # test may be val
            cut = [t for s in samples for t in _cut(s, tiling, data)]
            before, after = before + len(samples), after + len(cut)
            done[id(samples)] = cut
        data.splits[split] = done[id(samples)]
    data.notes.append(
        f'{before} images are cut into {after} tiles of at most '
        f'{tiling.side} pixels'
    )


def _cut(
    sample: Sample, tiling: Tiling, data: LabeledData
) -> Iterator[Sample]:
    picture = open_picture(sample.path)
    tiles = [t for line in cut_tiles(picture.shape, tiling) for t in line]
    if len(tiles) == 1:
        yield sample
        return
    labels = None
    if sample.mask is not None:
        labels = np.asarray(Image.open(sample.mask))
    for tile in tiles:
        path = _write(picture, sample.path, tile)
        x1, y1, x2, y2 = tile.box
        part = Sample(path, x2 - x1, y2 - y1)
        for item in sample.objects:
            piece = _cut_object(item, tile, picture.shape)
            if piece is None:
                continue
            if piece.is_crowd and not item.is_crowd:
                data.findings.add(
                    'objects are cut to a small part at the border of a '
                    'tile, and not counted there',
                    f'{sample.path.name} ({item.source})',
                )
            part.objects.append(piece)
        if labels is not None and sample.mask is not None:
            part.mask, part.pixels = _cut_labels(labels, sample, tile)
        yield part


def _target(source: Path, tile: Tile) -> Path:
    status = source.stat()
    key = f'{source.resolve()} {status.st_size} {status.st_mtime_ns}'
    folder = hashlib.sha256(key.encode()).hexdigest()[:16]
    x1, y1, x2, y2 = tile.box
    name = f'{source.stem}_{x1}_{y1}_{x2 - x1}x{y2 - y1}.png'
    return cache_dir() / 'tiles' / folder / name


def _write(picture: Picture, source: Path, tile: Tile) -> Path:
    path = _target(source, tile)
    if not path.is_file():
        x1, y1, x2, y2 = tile.box
        rows = picture.read_rows(y1, y2)[:, x1:x2]
        _save(Image.fromarray(np.ascontiguousarray(rows)), path)
    return path


def _save(image: Image.Image, path: Path) -> None:
    import io

    content = io.BytesIO()
    image.save(content, 'png', compress_level=1)
    write_atomically(path, content.getvalue(), sync=False)


def _cut_labels(
    labels: np.ndarray, sample: Sample, tile: Tile
) -> tuple[Path, Counter]:
    assert sample.mask is not None
    path = _target(sample.mask, tile)
    x1, y1, x2, y2 = tile.box
    part = np.ascontiguousarray(labels[y1:y2, x1:x2])
    if not path.is_file():
        _save(Image.fromarray(part), path)
    known = {label for label in sample.pixels if label >= 0}
    values, counts = np.unique(part, return_counts=True)
    pixels: Counter = Counter()
    for value, count in zip(values.tolist(), counts.tolist()):
        pixels[value if value in known else -1] += count
    return path, pixels


def _cut_object(
    item: Object, tile: Tile, shape: tuple[int, int]
) -> Object | None:
    """Return what a tile has of an object, None if it has nothing."""
    x1, y1, x2, y2 = tile.box
    left, top, width, height = item.bbox
    low = max(left, x1), max(top, y1)
    high = min(left + width, x2), min(top + height, y2)
    if high[0] <= low[0] or high[1] <= low[1]:
        return None
    box = low[0] - x1, low[1] - y1, high[0] - low[0], high[1] - low[1]
    share = box[2] * box[3] / max(width * height, 1e-9)
    piece = Object(item.label, box, None, item.is_crowd, None, item.source)
    if share > 1 - 1e-6:
        piece.area = item.area
    if item.segmentation is not None:
        code, share = _cut_mask(item.segmentation, tile, shape)
        if share == 0:
            return None
        piece.segmentation = code
    if share < LEAST_SHARE:
        piece.is_crowd = True
    return piece


def _cut_mask(
    segmentation: list | dict, tile: Tile, shape: tuple[int, int]
) -> tuple[dict, float]:
    """Return what a tile has of a mask, and which share of it."""
    from pycocotools import mask as coco_mask

    code = segmentation
    if isinstance(code, list):
        code = coco_mask.merge(coco_mask.frPyObjects(code, *shape))
    elif isinstance(code['counts'], list):
        code = coco_mask.frPyObjects(code, *shape)
    full = coco_mask.decode(code)
    x1, y1, x2, y2 = tile.box
    part = np.asfortranarray(full[y1:y2, x1:x2])
    cut = coco_mask.encode(part)
    share = float(part.sum() / max(full.sum(), 1))
    return dict(size=list(cut['size']), counts=cut['counts'].decode()), share
