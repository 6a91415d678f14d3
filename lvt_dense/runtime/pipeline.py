"""Predict on all images of a source, and write what is found.

Images are decoded and resized in threads, and results are drawn and written
in others, while the network runs.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from .choices import DEFAULT_FORMATS, MAX_DRAWN
from .errors import InputError
from .images import read_camera
from .journal import Journal, stamp_of
from .pictures import Picture, open_picture
from .predictor import Found, Predictor, Prepared
from .records import (
    CocoIds,
    Record,
    make_record,
    write_coco_results,
    write_csv,
    write_json,
)
from .sinks import ImageSinks, check_formats, keep_classes
from .sources import Frame, Source, in_background, prefetch
from .tiles import Tiling, predict_tiles

_THREADS = 2  # that decode, and as many that write


@dataclass(frozen=True)
class Options:
    """How to predict, and what to write.

    Attributes:
        out: Folder of the results.
        formats: Names of :data:`~lvt_dense.runtime.choices.FORMATS`.
        score_thr: Lowest score, ``'best'``, or None for the model's.
        classes: Names of the classes that are kept; None keeps all.
        tiling: How images are cut into tiles; None takes them whole.
        batch_size: Images that are predicted at once.
        camera: Calibration file of KITTI for all images, or a folder that
            has one of the name of each image.
        annotations: COCO annotation file whose image numbers are taken.
        max_drawn: Number of objects that are drawn in an image, the best
            ones; files hold all.
        quiet: Show no progress.
    """

    out: Path
    formats: Sequence[str] = DEFAULT_FORMATS
    score_thr: float | str | None = None
    classes: Sequence[str] | None = None
    tiling: Tiling | None = None
    batch_size: int = 1
    camera: str | None = None
    annotations: str | None = None
    max_drawn: int = MAX_DRAWN
    quiet: bool = False


@dataclass
class Summary:
    """What came of a run.

    Attributes:
        images: Number of images that were predicted on, here or in an
            interrupted run before.
        resumed: Number of those that an interrupted run had done.
        failures: Images that cannot be used, and why.
        seconds: Time that it took.
        is_complete: Whether no interruption ended it.
    """

    images: int = 0
    resumed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    is_complete: bool = True

    @property
    def rate(self) -> float:
        """Images a second."""
        return (self.images - self.resumed) / max(self.seconds, 1e-9)


@dataclass
class _Loaded:
    frame: Frame
    picture: Picture
    prepared: Prepared | None
    camera: np.ndarray | None
    stamp: Any


def predict_source(
    predictor: Predictor, source: Source, options: Options
) -> Summary:
    """Predict on all images of a source, and write what is found.

    A run over files that was interrupted is continued; images that have
    changed since are predicted on again.

    Args:
        predictor: The model.
        source: The images.
        options: How to predict, and what to write.

    Returns:
        What came of it. Images that cannot be used are named there, and on
        standard error.

    Raises:
        InputError: An option does not fit the model or the source.
    """
    run = _Run(predictor, source, options)
    try:
        run.work()
    except KeyboardInterrupt:
        run.summary.is_complete = source.is_live
    except BaseException:
        run.finish(False)
        raise
    run.finish(run.summary.is_complete)
    return run.summary


class _Run:
    def __init__(
        self, predictor: Predictor, source: Source, options: Options
    ) -> None:
        self.predictor, self.source, self.options = predictor, source, options
        self.kept = _find_classes(predictor, options)
        self.threshold = predictor.score_threshold(options.score_thr)
        self.ids = CocoIds(predictor.classes, options.annotations)
        _check(predictor, source, options, self.ids)
        self.sinks = ImageSinks(
            options.out,
            options.formats,
            predictor,
            source.rate,
            source.name,
            options.max_drawn,
        )
        is_files = source.rate is None
        self.journal = Journal(options.out, self._settings(), is_files)
        self.summary = Summary()
        self.progress = Progress(source.count, options.quiet)
        self.begin = time.perf_counter()

    def _settings(self) -> dict[str, Any]:
        options, name = self.options, self.predictor.name
        tiling, is_file = options.tiling, Path(name).is_file()
        return dict(
            model=[name, stamp_of(Path(name)) if is_file else None],
            source=self.source.name,
            formats=list(options.formats),
            threshold=self.threshold,
            classes=None if self.kept is None else sorted(self.kept),
            tiling=None if tiling is None else asdict(tiling),
            camera=options.camera,
            max_drawn=options.max_drawn,
        )

    def work(self) -> None:
        writers = ThreadPoolExecutor(_THREADS)
        readers = ThreadPoolExecutor(_THREADS)
        waiting: list[tuple[_Loaded, Future]] = []
        try:
            for loaded, found in self._predict(readers):
                # Drawn in order; the other files may come in any.
                self.sinks.add_to_video(loaded.picture, found, loaded.camera)
                task = writers.submit(self._write, loaded, found)
                waiting.append((loaded, task))
                if len(waiting) > 2 * _THREADS:
                    self._note(*waiting.pop(0))
            while waiting:
                self._note(*waiting.pop(0))
        finally:
            readers.shutdown(cancel_futures=True)
            writers.shutdown()
            for loaded, task in waiting:  # of an interrupted run
                self._note(loaded, task)

    def _predict(
        self, readers: ThreadPoolExecutor
    ) -> Iterator[tuple[_Loaded, Found]]:
        size = self.options.batch_size
        frames: Iterator[Frame] = iter(self.source.frames)
        if self.source.rate is not None:
            frames = in_background(frames)
        # Images in tiles are large: one is ready, no more.
        ahead = 1 if self.options.tiling else 2 * _THREADS
        results = prefetch(
            self._load, self._todo(frames), readers, ahead + size
        )
        while futures := list(islice(results, size)):
            batch = [x for x in map(self._loaded, futures) if x is not None]
            found = (
                self._predict_whole(batch)
                if self.options.tiling is None
                else self._predict_tiles(batch)
            )
            for loaded, one in found:
                if self.kept is not None:
                    one = keep_classes(one, self.kept)
                yield loaded, one

    def _todo(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        for frame in frames:
            stamp = self.journal.done.get(frame.origin)
            if stamp is not None and stamp == stamp_of(frame.image):
                self.summary.images += 1
                self.summary.resumed += 1
                self.progress.step()
            else:
                yield frame

    def _load(self, frame: Frame) -> _Loaded | tuple[Frame, Exception]:
        try:
            stamp = stamp_of(frame.image)
            camera = self._camera(frame)
            if self.options.tiling is not None:
                picture = open_picture(frame.image)
                return _Loaded(frame, picture, None, camera, stamp)
            prepared = self.predictor.prepare(frame.image)
            picture = Picture(prepared.array)
            return _Loaded(frame, picture, prepared, camera, stamp)
        except Exception as error:  # each decoder has its own
            return frame, error

    def _camera(self, frame: Frame) -> np.ndarray | None:
        if self.options.camera is None:
            return None
        path = Path(self.options.camera)
        if path.is_dir():
            path = path / f'{frame.name.stem}.txt'
        return read_camera(path)

    def _loaded(self, future: Future) -> _Loaded | None:
        loaded = future.result()
        if isinstance(loaded, _Loaded):
            return loaded
        self._fail(*loaded)
        return None

    def _predict_whole(
        self, batch: list[_Loaded]
    ) -> Iterator[tuple[_Loaded, Found]]:
        found = self.predictor.predict_prepared(
            [x.prepared for x in batch if x.prepared is not None],
            [x.camera for x in batch],
            self.threshold,
        )
        yield from zip(batch, found)

    def _predict_tiles(
        self, batch: list[_Loaded]
    ) -> Iterator[tuple[_Loaded, Found]]:
        assert self.options.tiling is not None
        for loaded in batch:
            try:
                found = predict_tiles(
                    self.predictor,
                    loaded.picture,
                    self.options.tiling,
                    self.threshold,
                )
            except (OSError, InputError) as error:  # a part of a large file
                self._fail(loaded.frame, error)
            else:
                yield loaded, found

    def _write(self, loaded: _Loaded, found: Found) -> Record:
        name, picture = loaded.frame.name, loaded.picture
        drawn = self.sinks.write(name, picture, found, loaded.camera)
        return make_record(
            loaded.frame.origin,
            drawn,
            picture.shape,
            found,
            self.predictor.classes,
        )

    def _note(self, loaded: _Loaded, task: Future) -> None:
        try:
            record = task.result()
        except (OSError, ValueError) as error:
            self._fail(loaded.frame, error)
            return
        self.journal.add(record, loaded.stamp)
        self.summary.images += 1
        self.progress.step()

    def _fail(self, frame: Frame, error: Exception) -> None:
        reason = ' '.join(str(error).split()) or type(error).__name__
        self.progress.clear()
        print(f'error: {frame.origin}: {reason}', file=sys.stderr)
        self.summary.failures.append((frame.origin, reason))
        self.progress.step()

    def finish(self, is_complete: bool) -> None:
        self.progress.clear()
        self.sinks.close(is_complete)
        self.summary.seconds = time.perf_counter() - self.begin
        if is_complete:
            self._write_all()
        self.journal.close(remove=is_complete or self.source.rate is not None)

    def _write_all(self) -> None:
        out, records = self.options.out, self.journal.records
        for name in self.options.formats:
            if name == 'json':
                write_json(out, records())
            elif name == 'csv':
                write_csv(out, records())
            elif name == 'coco':
                write_coco_results(
                    out, records(), self.ids, self.predictor.classes
                )


class Progress:
    """A line on standard error with the number of images and the speed.

    Args:
        count: Number of images, None where it is not known.
        quiet: Write nothing.
    """

    def __init__(self, count: int | None, quiet: bool = False) -> None:
        self.count, self.done = count, 0
        self._shown = not quiet and sys.stderr.isatty()
        self._begin = self._last = time.perf_counter()
        self._width = 0

    def step(self) -> None:
        """Count an image."""
        self.done += 1
        now = time.perf_counter()
        if self._shown and now - self._last > 0.1:
            self._last = now
            rate = self.done / (now - self._begin)
            of = '' if self.count is None else f' of {self.count}'
            text = f'{self.done}{of} images, {rate:.1f} a second'
            print(f'\r{text:{self._width}}', end='', file=sys.stderr)
            self._width = len(text)

    def clear(self) -> None:
        """Make room for another line."""
        if self._shown and self._width:
            print(f'\r{"":{self._width}}\r', end='', file=sys.stderr)


def _find_classes(predictor: Predictor, options: Options) -> set[int] | None:
    if options.classes is None:
        return None
    names = predictor.classes
    for name in options.classes:
        if name not in names:
            raise InputError(
                f'--classes {name}: the model knows {", ".join(names)}'
            )
    if predictor.info['task'] == 'semantic' and len(names) > 255:
        raise InputError(
            f'--classes: the model has {len(names)} classes, but pixels of '
            'other classes become 255, so at most 255 are supported'
        )
    return {names.index(name) for name in options.classes}


def _check(
    predictor: Predictor, source: Source, options: Options, ids: CocoIds
) -> None:
    task = predictor.info['task']
    if task == 'raw':
        raise InputError(
            f'{predictor.name} was exported with --raw: export it without'
        )
    check_formats(options.formats, task)
    if task == 'mono3d' and options.camera is None:
        raise InputError(
            'a monocular 3D model needs the projection matrix of the images: '
            'give --camera, a calibration file of KITTI or a folder of them'
        )
    if options.camera is not None and not Path(options.camera).exists():
        raise InputError(f'--camera {options.camera} does not exist')
    if options.tiling is not None and task == 'mono3d':
        raise InputError(
            '--tiles: a model of 3D boxes needs the whole view of the camera'
        )
    if source.rate is not None:
        return
    for kind in ('yolo', 'kitti'):
        if kind in options.formats:
            _check_names(source, kind)
    if 'coco' in options.formats and options.annotations is not None:
        for frame in source.frames:
            ids.image_id(frame.origin)


def _check_names(source: Source, kind: str) -> None:
    seen: dict[Path, str] = {}
    for frame in source.frames:
        target = frame.name.with_suffix('.txt')
        if target in seen:
            raise InputError(
                f'--format {kind} would write {target} for both '
                f'{seen[target]} and {frame.origin}: rename one of them'
            )
        seen[target] = frame.origin
