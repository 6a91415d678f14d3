"""Reads the plain folders of KITTI, and remembers what it read.

The cache is a file of plain arrays in the user's cache folder, never a
pickle. It counts only as long as the names, sizes and modification times of
all files of the frames are the same.
"""

import hashlib
import os
import sys
import tempfile
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from mmengine.dist import is_main_process
from mmengine.utils import ProgressBar
from PIL import Image

from lvt_dense.errors import UserError

from .labels import (
    KittiObjects,
    read_calib,
    read_frame_ids,
    read_labels,
)

# Labels may reach past the image by this share of its side. More, and the
# image has been resized, so that neither its labels nor P2 hold for it.
EDGE_TOLERANCE = 0.02

_CACHE_VERSION = 1
_Listing = dict[str, tuple[str, int, int]]


@dataclass
class KittiFrame:
    """What is known of a frame before its image is read.

    Attributes:
        sample_idx: the identifier, such as 000012.
        img_path: path to the image.
        image_size: width and height in pixels.
        cam2img: (4, 4) projection matrix of camera 2.
        objects: all labels including DontCare, None without label folder.
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
    """Reads the frames that a file lists.

    Args:
        ids_file: such as ImageSets/train.txt, one identifier a line.
        image_dir: folder of the images, such as training/image_2.
        calib_dir: folder of the calibration files.
        label_dir: folder of the label files; None for a test set.

    Raises:
        UserError: a folder or file is missing, a file is malformed, or an
            image has another size than its labels suggest.
    """
    ids = read_frame_ids(ids_file)
    folders = [Path(image_dir), Path(calib_dir)]
    folders += [Path(label_dir)] if label_dir else []
    listings = [_list_folder(folder) for folder in folders]
    _check_complete(ids_file, ids, folders, listings)
    digest = _digest(ids, folders, listings)
    cache = _cache_path(ids_file, folders)
    content = _load_cache(cache, digest)
    if content is None:
        content = _read_content(list(ids), folders, listings)
        _save_cache(cache, digest, content)
    sizes, cameras, objects = content
    return [
        KittiFrame(
            name,
            str(folders[0] / listings[0][name][0]),
            (int(size[0]), int(size[1])),
            camera,
            labels if label_dir else None,
        )
        for name, size, camera, labels in zip(ids, sizes, cameras, objects)
    ]


def _list_folder(folder: Path) -> _Listing:
    """File name, modification time and size under each stem."""
    listing = {}
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                stem, suffix = os.path.splitext(entry.name)
                if suffix.lower() in ('.png', '.jpg', '.jpeg', '.txt'):
                    stat = entry.stat()
                    listing[stem] = entry.name, stat.st_mtime_ns, stat.st_size
    except OSError as error:
        raise UserError(
            f'{folder}: {error.strerror}; the data root needs the folders '
            'training/{image_2,calib,label_2}, testing/{image_2,calib} and '
            'ImageSets'
        ) from None
    return listing


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
            raise UserError(
                f'{ids_file}:{ids[missing[0]]}: frame {missing[0]}{more} has '
                f'no file in {folder}; add the file or remove the line'
            )


def _read_content(
    ids: list[str], folders: list[Path], listings: list[_Listing]
) -> tuple[np.ndarray, np.ndarray, list[KittiObjects]]:
    sizes, cameras, objects = [], [], []
    show = is_main_process() and sys.stderr.isatty()
    bar = ProgressBar(len(ids), file=sys.stderr) if show else None
    for done, name in enumerate(ids, 1):
        paths = [f / ls[name][0] for f, ls in zip(folders, listings)]
        sizes.append(_image_size(paths[0]))
        cameras.append(read_calib(paths[1]))
        labels = KittiObjects.from_rows([], [])
        if len(paths) > 2:
            labels = read_labels(paths[2])
            _check_size(paths[2], labels, paths[0], sizes[-1])
        objects.append(labels)
        # Writing to a terminal 7,481 times takes longer than reading.
        if bar and (done % 100 == 0 or done == len(ids)):
            bar.update(done - bar.completed)
    if bar:
        sys.stderr.write('\n')
    return np.array(sizes), np.array(cameras), objects


def _image_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise UserError(f'{path}: cannot be read as image: {error}') from None


def _check_size(
    label_path: Path,
    labels: KittiObjects,
    image_path: Path,
    size: tuple[int, int],
) -> None:
    limit = (1 + EDGE_TOLERANCE) * np.array(size)
    beyond = (labels.bboxes[:, 2:] > limit).any(1)
    if beyond.any():
        index = int(beyond.argmax())
        x2, y2 = labels.bboxes[index, 2:]
        raise UserError(
            f'{label_path}:{index + 1}: a box reaches to ({x2:g}, {y2:g}), '
            f'but {image_path} has {size[0]} x {size[1]} pixels; put back '
            'the image at its original size'
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
    """One file for each list of frames and set of folders."""
    places = [str(Path(ids_file).resolve())]
    places += [str(folder.resolve()) for folder in folders]
    name = hashlib.sha256('\n'.join(places).encode()).hexdigest()[:16]
    base = os.environ.get('XDG_CACHE_HOME') or '~/.cache'
    return Path(base).expanduser() / 'lvt_dense' / f'kitti_{name}.npz'


def _save_cache(
    path: Path,
    digest: str,
    content: tuple[np.ndarray, np.ndarray, list[KittiObjects]],
) -> None:
    """Writes the cache as a whole or, where nothing can be written, not."""
    sizes, cameras, objects = content
    together = KittiObjects.concatenate(objects)
    arrays = {f.name: getattr(together, f.name) for f in fields(together)}
    counts = np.array([len(labels) for labels in objects])
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            dir=path.parent, suffix='.tmp', delete=False
        ) as file:
            temporary = file.name
            np.savez(
                file,
                digest=np.array(digest),
                sizes=sizes,
                cameras=cameras,
                counts=counts,
                **arrays,
            )
        os.replace(temporary, path)
    except OSError:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)


def _load_cache(
    path: Path, digest: str
) -> tuple[np.ndarray, np.ndarray, list[KittiObjects]] | None:
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
