"""Read the plain folders of KITTI, and remember what was read.

The cache is a file of plain arrays in the user's cache folder, never a
pickle. It counts only as long as the names, sizes and modification times of
all files of the frames are the same.
"""

import hashlib
import io
import logging
import os
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from PIL import Image

from lvt_dense.utils.cache import cache_dir
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import IMAGE_SUFFIXES, write_atomically
from lvt_dense.utils.progress import tqdm

from .labels import (
    DONT_CARE,
    KittiObjects,
    match_frame_ids,
    read_calib,
    read_frame_ids,
    read_labels,
)

# Boxes that reach past the image by more than this share of its side are
# clipped, with a warning.
EDGE_TOLERANCE = 0.02
# The principal point lies near the middle of an image. Beyond this share of a
# side, the image was probably made smaller.
_MAX_CENTER = 0.6

_CACHE_VERSION = 2
_TEXT_SUFFIXES = ('.txt',)
_Listing = dict[str, tuple[str, int, int]]
_Content = tuple[np.ndarray, np.ndarray, list[KittiObjects]]


@dataclass
class KittiFrame:
    """What is known of a frame before its image is read.

    Attributes:
        sample_idx: Identifier, such as 000012.
        img_path: Path to the image.
        image_size: Width and height in pixels; zeros for a file that is no
            image.
        cam2img: (4, 4) projection matrix of camera 2.
        objects: All labels including DontCare, None without label folder.
    """

    sample_idx: str
    img_path: str
    image_size: tuple[int, int]
    cam2img: np.ndarray
    objects: KittiObjects | None


def load_frames(
    ids_file: str,
    image_dir: str,
    calib_dir: str,
    label_dir: str | None = None,
) -> list[KittiFrame]:
    """Read the frames that a file lists.

    Args:
        ids_file: Such as ImageSets/train.txt, one identifier a line; empty
            for all frames of the folders.
        image_dir: Folder of the images, such as training/image_2.
        calib_dir: Folder of the calibration files.
        label_dir: Folder of the label files; None for a test set.

    Raises:
        UserError: A folder or file is missing, a file is malformed, or an
            image has another size than its labels and camera are for.
    """
    folders = [Path(image_dir), Path(calib_dir)]
    folders += [Path(label_dir)] if label_dir else []
    kinds = (IMAGE_SUFFIXES, _TEXT_SUFFIXES, _TEXT_SUFFIXES)
    listings = [list_folder(f, kind) for f, kind in zip(folders, kinds)]
    ids = _frame_ids(ids_file, folders, listings)
    _check_complete(ids_file, ids, folders, listings)
    digest = _digest(ids, folders, listings)
    cache = _cache_path(ids_file, folders)
    content = _load_cache(cache, digest)
    if content is None:
        content = _read_content(list(ids), folders, listings)
        _save_cache(cache, digest, content)
    sizes, cameras, objects = content
    frames = [
        KittiFrame(
            name,
            str(folders[0] / listings[0][name][0]),
            (int(size[0]), int(size[1])),
            camera,
            labels if label_dir else None,
        )
        for name, size, camera, labels in zip(ids, sizes, cameras, objects)
    ]
    if label_dir:
        _check_boxes(frames, folders[2])
    return frames


def list_folder(folder: Path, suffixes: Iterable[str]) -> _Listing:
    """List the files of a kind.

    Args:
        folder: Folder; hidden files are left out.
        suffixes: Suffixes in lower case.

    Returns:
        File name, modification time and size under each stem.

    Raises:
        UserError: The folder cannot be read, or two files have one stem.
    """
    listing: _Listing = {}
    try:
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                stem, suffix = os.path.splitext(entry.name)
                if stem.startswith('.') or suffix.lower() not in suffixes:
                    continue
                if stem in listing:
                    raise UserError(
                        f'{folder}: {listing[stem][0]} and {entry.name} are '
                        'of one frame; remove one of the two'
                    )
                stat = entry.stat()
                listing[stem] = entry.name, stat.st_mtime_ns, stat.st_size
    except OSError as error:
        raise UserError(
            f'{folder}: {error.strerror}; the data root needs the folders '
            'training/{image_2,calib,label_2}, testing/{image_2,calib} and '
            'ImageSets'
        ) from None
    return listing


def image_size(path: str | Path) -> tuple[int, int] | None:
    """Read width and height in pixels, or None from what is no image."""
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def reach_beyond(bboxes: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Tell which 2D boxes (N, 4) reach far beyond an image of this size.

    A few pixels are accepted: KITTI's own labels reach beyond images that are
    a little smaller than most.
    """
    reach = np.maximum(-bboxes[:, :2], bboxes[:, 2:] - size) / size
    return (reach > EDGE_TOLERANCE).any(1)


def _frame_ids(
    ids_file: str, folders: list[Path], listings: list[_Listing]
) -> dict[str, int]:
    if ids_file:
        ids = read_frame_ids(ids_file)
        return match_frame_ids(ids, listings[0], ids_file)
    if not listings[0]:
        raise UserError(f'{folders[0]}: holds no images')
    return dict.fromkeys(listings[0], 0)


def _check_complete(
    ids_file: str,
    ids: dict[str, int],
    folders: list[Path],
    listings: list[_Listing],
) -> None:
    for folder, listing in zip(folders, listings):
        missing = [name for name in ids if name not in listing]
        if missing:
            more = f' (and {len(missing) - 1} more)' if missing[1:] else ''
            place = f'{ids_file}:{ids[missing[0]]}' if ids_file else folders[0]
            what = f'such as {min(listing)}' if listing else 'which is empty'
            raise UserError(
                f'{place}: frame {missing[0]}{more} has no file in {folder}, '
                f'{what}; add the file or remove the line'
            )


def _read_content(
    ids: list[str], folders: list[Path], listings: list[_Listing]
) -> _Content:
    sizes, cameras, objects = [], [], []
    # Without a terminal there is no bar.
    hidden = None if is_main_process() else True
    for name in tqdm(ids, 'reading KITTI', disable=hidden, leave=False):
        paths = [f / ls[name][0] for f, ls in zip(folders, listings)]
        sizes.append(image_size(paths[0]) or (0, 0))
        cameras.append(read_calib(paths[1]))
        labels = KittiObjects.from_rows([], [])
        if len(paths) > 2:
            labels = read_labels(paths[2])
        objects.append(labels)
    return np.array(sizes), np.array(cameras), objects


def _check_boxes(frames: list[KittiFrame], label_dir: Path) -> None:
    """Refuse images of another size, and mention boxes beyond the edges."""
    beyond: list[str] = []
    for frame in frames:
        if frame.objects is None or not frame.image_size[0]:
            continue
        boxes = frame.objects.bboxes
        size = np.array(frame.image_size)
        label_path = label_dir / f'{frame.sample_idx}.txt'
        real = ~frame.objects.is_type(DONT_CARE)
        centers = (boxes[:, :2] + boxes[:, 2:]) / 2
        is_off = frame.cam2img[:2, 2] > _MAX_CENTER * size
        outside = ((centers > size) & is_off).any(1) & real
        if outside.any():
            index = int(outside.argmax())
            x2, y2 = boxes[index, 2:]
            raise UserError(
                f'{label_path}:{index + 1}: a box reaches to ({x2:g}, '
                f'{y2:g}), but {frame.img_path} has {size[0]} x {size[1]} '
                'pixels; put back the image at its original size'
            )
        far = reach_beyond(boxes, frame.image_size) & real
        beyond += [f'{label_path}:{i + 1}' for i in np.flatnonzero(far)]
    if beyond:
        print_log(
            f'{len(beyond)} boxes reach beyond their images, such as '
            f'{beyond[0]}; training clips them',
            logger='current',
            level=logging.WARNING,
        )


def _digest(
    ids: dict[str, int], folders: list[Path], listings: list[_Listing]
) -> str:
    key = hashlib.sha256(repr((_CACHE_VERSION, list(ids))).encode())
    for folder, listing in zip(folders, listings):
        stats = [listing[name] for name in ids]
        key.update(repr((str(folder.resolve()), stats)).encode())
    return key.hexdigest()


def _cache_path(ids_file: str, folders: list[Path]) -> Path:
    """Name one file for each list of frames and set of folders."""
    places = [str(Path(ids_file).resolve()) if ids_file else '']
    places += [str(folder.resolve()) for folder in folders]
    name = hashlib.sha256('\n'.join(places).encode()).hexdigest()[:16]
    return cache_dir() / f'kitti_{name}.npz'


def _save_cache(path: Path, digest: str, content: _Content) -> None:
    """Write the cache as a whole; do nothing where it cannot be written."""
    sizes, cameras, objects = content
    together = KittiObjects.concatenate(objects)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        digest=np.array(digest),
        sizes=sizes,
        cameras=cameras,
        counts=np.array([len(labels) for labels in objects]),
        **{f.name: getattr(together, f.name) for f in fields(together)},
    )
    try:
        write_atomically(path, buffer.getvalue())
    except OSError:
        return


def _load_cache(path: Path, digest: str) -> _Content | None:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            if arrays['digest'].item() != digest:
                return None
            together = KittiObjects(
                **{f.name: arrays[f.name] for f in fields(KittiObjects)}
            )
            stops = arrays['counts'].cumsum()
            sizes, cameras = arrays['sizes'], arrays['cameras']
    # A file cut short fails in many ways; all mean that there is no cache.
    except Exception:
        return None
    starts = stops - np.diff(stops, prepend=0)
    objects = [together[a:b] for a, b in zip(starts, stops)]
    return sizes, cameras, objects
