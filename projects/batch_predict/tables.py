"""Results as rows of Parquet: one row an image."""

import io
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from PIL import Image
from pyarrow import parquet

from lvt_dense.runtime.errors import InputError
from lvt_dense.runtime.files import replace_whole
from lvt_dense.runtime.predictor import Found
from lvt_dense.runtime.records import BOX, BOX_3D

Row = dict[str, Any]


def make_schema(task: str) -> pa.Schema:
    """Return the columns of a task's results, see the README."""
    fields = [
        ('image', pa.string()),
        ('height', pa.int32()),
        ('width', pa.int32()),
        ('error', pa.string()),
    ]
    if task == 'semantic':
        counts = [
            ('label', pa.string()),
            ('index', pa.int32()),
            ('pixels', pa.int64()),
        ]
        fields.append(('classes', pa.list_(pa.struct(counts))))
        fields.append(('label_map', pa.binary()))
        return pa.schema(fields)
    item = [
        ('label', pa.string()),
        ('index', pa.int32()),
        ('score', pa.float32()),
        *((name, pa.float32()) for name in BOX),
    ]
    if task == 'instance':
        item += [('mask_area', pa.int64()), ('mask', pa.string())]
    if task == 'mono3d':
        item += [(name, pa.float32()) for name in BOX_3D]
    return pa.schema([*fields, ('objects', pa.list_(pa.struct(item)))])


def make_row(
    image: str,
    shape: tuple[int, int],
    found: Found,
    classes: Sequence[str],
) -> Row:
    """Return the row of an image that was predicted on.

    Args:
        image: Its path.
        shape: Its height and width.
        found: What was found.
        classes: Names of the classes.
    """
    row: Row = dict(
        image=as_text(image), height=shape[0], width=shape[1], error=None
    )
    if isinstance(found, np.ndarray):
        values, counts = np.unique(found, return_counts=True)
        row['classes'] = [
            dict(
                label=classes[v] if v < len(classes) else str(v),
                index=v,
                pixels=n,
            )
            for v, n in zip(values.tolist(), counts.tolist())
        ]
        row['label_map'] = encode_labels(found)
        return row
    row['objects'] = [_object(item.as_dict()) for item in found]
    return row


def _object(entry: dict[str, Any]) -> Row:
    row = {name: entry[name] for name in ('label', 'index', 'score')}
    row.update(zip(BOX, entry['box']))
    if 'mask' in entry:
        row['mask_area'] = entry['mask_area']
        row['mask'] = entry['mask']['counts']
    row.update(zip(BOX_3D, entry.get('box_3d', ())))
    return row


def make_failure(image: str, reason: str) -> Row:
    """Return the row of an image that cannot be used."""
    return dict(image=as_text(image), error=reason)


def as_text(name: str) -> str:
    """Return a file name as text; bytes that are none become escapes."""
    return name.encode('utf-8', 'backslashreplace').decode()


def encode_labels(labels: np.ndarray) -> bytes:
    """Return a label map as a PNG of 8 bits, or 16 if it needs them."""
    kind = np.uint8 if labels.max(initial=0) < 256 else np.uint16
    file = io.BytesIO()
    Image.fromarray(labels.astype(kind)).save(file, 'png')
    return file.getvalue()


def write_rows(path: Path, rows: list[Row], schema: pa.Schema) -> int:
    """Write a file whole, and return its size in bytes."""
    table = pa.Table.from_pylist(rows, schema)
    with replace_whole(path) as partial:
        parquet.write_table(table, partial, compression='zstd')
        with open(partial, 'rb') as file:
            os.fsync(file.fileno())
    return path.stat().st_size


def check_images(paths: Sequence[Path], images: Sequence[str]) -> None:
    """Check that files hold each image once, in the order of the list.

    Raises:
        InputError: One is lost, doubled or out of place.
    """
    start = 0
    for path in paths:
        column = parquet.read_table(path, columns=['image'])['image']
        part = [as_text(name) for name in images[start : start + len(column)]]
        wanted = pa.chunked_array([pa.array(part, pa.string())])
        if (
            len(part) != len(column)
            or not pc.all(
                pc.equal(column, wanted.combine_chunks()), min_count=0
            ).as_py()
        ):
            raise InputError(
                f'{path} does not hold the images of its shard: remove it, '
                'and run the command again'
            )
        start += len(column)
    if start != len(images):
        raise InputError(
            f'the files hold {start} of {len(images)} images: run the '
            'command again'
        )
