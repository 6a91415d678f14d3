"""Where images come from: files, folders, patterns, videos, cameras."""

import queue
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from PIL import Image

from .errors import InputError
from .sessions import KEY, require

SUFFIXES = {
    *('.jpg', '.jpeg', '.png', '.bmp', '.webp', '.tif', '.tiff'),
    *('.gif', '.ppm', '.pgm', '.pnm', '.avif'),
}
VIDEOS = {'.mp4', '.avi', '.mov', '.mkv', '.webm', '.m4v', '.mpg', '.mpeg'}
STREAM = re.compile(r'(rtsps?|rtmp|https?|udp|tcp)://', re.IGNORECASE)
In = TypeVar('In')
Out = TypeVar('Out')


@dataclass
class Frame:
    """One image of a source.

    Attributes:
        name: Path that its results are named by, relative to the folder of
            the results.
        image: File, or pixels (H, W, 3) uint8 in RGB.
    """

    name: Path
    image: Path | np.ndarray

    @property
    def origin(self) -> str:
        """What the image is called in messages and results."""
        is_file = isinstance(self.image, Path)
        return str(self.image if is_file else self.name)


@dataclass
class Source:
    """A sequence of images.

    Attributes:
        name: What was given.
        frames: The images: a list of files, or an iterator over a video.
        count: Number of images, None where it is not known.
        rate: Frames a second of a video; None for single images.
        is_live: Whether it lasts until it is stopped.
    """

    name: str
    frames: Iterable[Frame]
    count: int | None = None
    rate: float | None = None
    is_live: bool = False


def open_source(text: str | Path, limit: int | None = None) -> Source:
    """Open what images come from.

    Args:
        text: An image, a folder, a glob pattern, a video, the number of a
            camera, or the URL of a stream.
        limit: Largest number of images.

    Raises:
        InputError: It holds no image, or cannot be opened.
    """
    text, path = str(text), Path(text)
    if not path.exists():
        if text.isdigit():
            return _open_video(text, int(text), limit, is_live=True)
        if STREAM.match(text):
            return _open_video(text, text, limit, is_live=True)
        if any(c in text for c in '*?['):
            return _files(text, *_match(text), limit)
    if path.suffix.lower() in VIDEOS and path.is_file():
        return _open_video(path.name, str(path), limit)
    base = path if path.is_dir() else path.parent
    return _files(text, base, list_images(path), limit)


def _files(
    text: str, base: Path, paths: list[Path], limit: int | None
) -> Source:
    paths = paths[:limit]
    frames = [Frame(path.relative_to(base), path) for path in paths]
    return Source(text, frames, len(frames))


def _match(pattern: str) -> tuple[Path, list[Path]]:
    """Return the images that a pattern matches, and the folder they are in.

    Raises:
        InputError: There is none.
    """
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if any(c in part for c in '*?['):
            break
        fixed.append(part)
    found = sorted(Path(p) for p in glob(pattern, recursive=True))
    images = [p for p in found if _is_image(p)]
    if not images:
        raise InputError(f'{pattern} matches no image')
    return Path(*fixed), images


def list_images(source: str | Path) -> list[Path]:
    """Return the images of a folder and below, or the one file.

    Raises:
        InputError: There is none.
    """
    source = Path(source)
    if not source.exists():
        raise InputError(f'{source} does not exist')
    if source.is_file():
        return [source]
    found = sorted(path for path in source.rglob('*') if _is_image(path))
    if not found:
        raise InputError(f'{source} holds no image')
    return found


def _is_image(path: Path) -> bool:
    return (
        path.suffix.lower() in SUFFIXES
        and path.name[0] != '.'
        and path.is_file()
        and not is_own_picture(path)
    )


def is_own_picture(path: Path) -> bool:
    """Whether a file is a picture of an earlier run."""
    if path.suffix.lower() not in ('.png', '.jpg'):
        return False
    try:
        with Image.open(path) as image:
            return image.info.get('Software') == KEY
    except (OSError, ValueError, Image.DecompressionBombError):
        return False


def _open_video(
    name: str, source: Any, limit: int | None, is_live: bool = False
) -> Source:
    cv2 = require('cv2', name, 'opencv-python')
    video = cv2.VideoCapture(source)
    if not video.isOpened():
        kind = 'camera or stream' if is_live else 'video'
        raise InputError(f'{name} is no readable {kind}')
    count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    rate = float(video.get(cv2.CAP_PROP_FPS))
    known = count if count > 0 and not is_live else None
    if limit is not None:
        known = min(known, limit) if known is not None else limit
    short = re.sub(r'\W+', '_', name).strip('_') if is_live else name
    frames = (
        Frame(Path(f'{short}.{number:06}'), frame)
        for number, frame in enumerate(_read(video, name, limit))
    )
    return Source(
        short, frames, known, rate if 0 < rate < 1000 else 25.0, is_live
    )


def _read(video: Any, name: str, limit: int | None) -> Iterator[np.ndarray]:
    count = 0
    try:
        while (limit is None or count < limit) and (shot := video.read())[0]:
            count += 1
            yield np.ascontiguousarray(shot[1][..., ::-1])
    finally:
        video.release()
    if not count:
        raise InputError(f'{name} is no readable video')


def read_frames(path: str | Path) -> Iterator[np.ndarray]:
    """Read the frames of a video, (H, W, 3) uint8 in RGB each.

    Raises:
        InputError: OpenCV is missing, or cannot read the video.
    """
    for frame in _open_video(str(path), str(path), None).frames:
        yield np.asarray(frame.image)


def prefetch(
    function: Callable[[In], Out],
    items: Iterable[In],
    pool: ThreadPoolExecutor,
    ahead: int,
) -> Iterator[Future[Out]]:
    """Call a function on items in other threads, ahead of their use.

    Args:
        function: Called on each item.
        items: Taken as they are needed.
        pool: Threads.
        ahead: Largest number of items that are begun and not yielded.

    Yields:
        The results, in the order of the items.
    """
    waiting: list[Future[Out]] = []
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.pop(0)
    yield from waiting


def in_background(items: Iterator[Out], ahead: int = 8) -> Iterator[Out]:
    """Take items from an iterator in another thread, ahead of their use."""
    ready: queue.Queue = queue.Queue(ahead)
    done = threading.Event()

    def put(entry: tuple[str, Any]) -> bool:
        while not done.is_set():
            try:
                ready.put(entry, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put(('item', item)):
                    return
            put(('end', None))
        except BaseException as error:  # handed over to the other thread
            put(('error', error))

    threading.Thread(target=work, daemon=True).start()
    try:
        while True:
            kind, value = ready.get()
            if kind == 'end':
                return
            if kind == 'error':
                raise value
            yield value
    finally:
        done.set()
