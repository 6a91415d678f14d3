"""Images cut into shards, and the journal of those that are done.

Nothing here needs Ray or PyArrow.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lvt_dense.runtime.errors import InputError
from lvt_dense.runtime.files import open_whole, write_text
from lvt_dense.runtime.sources import SUFFIXES

DEADLY = 2  # deaths on one image, watched, after which it is left out


@dataclass(frozen=True)
class Shard:
    """A run of images whose results are one file.

    Attributes:
        number: Which one, from 0.
        images: Paths of the images, relative to their folder.
    """

    number: int
    images: tuple[str, ...]

    @property
    def file(self) -> str:
        """Path of the file of its results, in the folder of the run."""
        return f'results/part-{self.number:06}.parquet'


def find_images(source: Path) -> tuple[Path, list[str]]:
    """List the images of a folder, or those that a text file names.

    Args:
        source: Folder, which is searched with all that is below it; or a
            text file with one path a line, relative to the file's folder.

    Returns:
        The folder, and the paths of the images relative to it.

    Raises:
        InputError: There is none, or one is named twice.
    """
    if source.is_dir():
        names = sorted(_walk(source))
        if not names:
            raise InputError(f'{source} holds no image')
        return source, names
    if source.suffix != '.txt' or not source.is_file():
        raise InputError(
            f'IMAGES {source}: give a folder, or a .txt file with one path '
            'a line'
        )
    lines = source.read_text('utf-8-sig').splitlines()
    names = [line for line in lines if line.strip()]
    if not names:
        raise InputError(f'{source} names no image')
    if len(set(names)) < len(names):
        seen: set[str] = set()
        twice = next(n for n in names if n in seen or seen.add(n))
        raise InputError(f'{source} names {twice} twice: remove one')
    return source.parent, names


def _walk(folder: Path) -> Iterator[str]:
    for parent, _, files in os.walk(folder):
        base = os.path.relpath(parent, folder)
        for name in files:
            suffix = os.path.splitext(name)[1].lower()
            if suffix in SUFFIXES and not name.startswith('.'):
                yield os.path.normpath(os.path.join(base, name))


def cut(images: Sequence[str], size: int) -> list[Shard]:
    """Cut a list of images into shards of one size, the last one shorter."""
    starts = range(0, len(images), size)
    return [
        Shard(number, tuple(images[start : start + size]))
        for number, start in enumerate(starts)
    ]


class Run:
    """A folder of results, with its list of images and its journal.

    The list and the settings are written once. A later run reads them, so
    that the shards stay the same even if the folder of images has changed.

    Args:
        out: Folder of the results; created.
        source: Folder of the images, or a text file, see
            :func:`find_images`.
        settings: What the results depend on.
        size: Images a shard.

    Attributes:
        folder: Folder of the images.
        images: Their paths, relative to it.
        shards: All shards.
        done: What the journal says of each finished shard, by number.

    Raises:
        InputError: The folder holds a run with other settings, or files of
            something else.
    """

    def __init__(
        self, out: Path, source: Path, settings: dict[str, Any], size: int
    ) -> None:
        self.out = out
        self._journal = out / 'journal.jsonl'
        settings = dict(settings, images=str(source), shard_size=size)
        if (out / 'run.json').exists():
            self._check(settings)
            content = json.loads((out / 'run.json').read_text('utf-8'))
            self.folder = Path(content['folder'])
            lines = (out / 'images.jsonl').read_text('utf-8').splitlines()
            self.images = [json.loads(line) for line in lines]
        else:
            self._begin(source, settings)
        self.shards = cut(self.images, size)
        self.done = self._read_journal()

    def _begin(self, source: Path, settings: dict[str, Any]) -> None:
        if self.out.exists() and any(self.out.glob('results/*')):
            raise InputError(
                f'{self.out} holds results without a run.json: choose '
                'another OUT'
            )
        self.folder, self.images = find_images(source)
        self.folder = self.folder.resolve()
        with open_whole(self.out / 'images.jsonl') as file:
            file.writelines(json.dumps(name) + '\n' for name in self.images)
        content = dict(settings=settings, folder=str(self.folder))
        write_text(self.out / 'run.json', json.dumps(content, indent=1) + '\n')

    def _check(self, settings: dict[str, Any]) -> None:
        path = self.out / 'run.json'
        found = json.loads(path.read_text('utf-8'))['settings']
        for name, value in settings.items():
            if found.get(name) != value:
                raise InputError(
                    f'{path} is of a run with another {name} '
                    f'({found.get(name)}, not {value}): choose another OUT'
                )

    def _read_journal(self) -> dict[int, dict[str, Any]]:
        """Read which shards are done, and have their file."""
        done: dict[int, dict[str, Any]] = {}
        if not self._journal.exists():
            return done
        data = self._journal.read_bytes()
        # A run that was killed may have left a part of a line.
        whole = data[: data.rfind(b'\n') + 1]
        if len(whole) < len(data):
            os.truncate(self._journal, len(whole))
        for line in whole.splitlines():
            entry = json.loads(line)
            path = self.out / self.shards[entry['shard']].file
            if path.exists() and path.stat().st_size == entry['bytes']:
                done[entry['shard']] = entry
        return done

    @property
    def todo(self) -> list[Shard]:
        """Shards that are not done."""
        return [s for s in self.shards if s.number not in self.done]

    def note(self, entry: dict[str, Any]) -> None:
        """Note that a shard is done.

        Args:
            entry: ``shard``, its number; ``images``, how many; ``failures``,
                pairs of a path and a reason; ``bytes``, size of the file.
        """
        with open(self._journal, 'a', encoding='utf-8') as file:
            file.write(json.dumps(entry) + '\n')
            file.flush()
            os.fsync(file.fileno())
        self.done[entry['shard']] = entry

    def merge(self) -> dict[str, int]:
        """Write ``failures.csv`` and ``summary.json`` of all shards.

        Returns:
            Number of ``images``, ``shards`` and ``failures``.

        Raises:
            InputError: A shard is missing, or has another number of images.
        """
        for shard in self.shards:
            count = self.done.get(shard.number, {}).get('images')
            if count != len(shard.images):
                raise InputError(
                    f'{self.out / shard.file} has {count or 0} of '
                    f'{len(shard.images)} images: run the command again'
                )
        entries = [self.done[shard.number] for shard in self.shards]
        failures = [pair for entry in entries for pair in entry['failures']]
        with open_whole(self.out / 'failures.csv', newline='') as file:
            csv.writer(file).writerows([('image', 'reason'), *failures])
        summary = dict(
            images=len(self.images),
            shards=len(self.shards),
            failures=len(failures),
        )
        text = json.dumps(summary, indent=1) + '\n'
        write_text(self.out / 'summary.json', text)
        for path in self.out.glob('results/*.partial'):  # of killed processes
            path.unlink(missing_ok=True)
        return summary


class Attempts:
    """How often processes have died on a shard, and on which image.

    The first attempt only leaves a file that says that there was one. If it
    is still there at the next attempt, each image is noted before its turn,
    so that one that ends the process is found, and left out in the end.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.deaths: dict[str, int] = {}
        self.is_watched = path.exists()
        if self.is_watched:
            content = json.loads(path.read_text('utf-8') or '{}')
            self.deaths = content.get('deaths', {})
            current = content.get('current')
            if current is not None:
                self.deaths[current] = self.deaths.get(current, 0) + 1
        self._write(None)

    def _write(self, current: str | None) -> None:
        content = dict(deaths=self.deaths, current=current)
        write_text(self.path, json.dumps(content))

    def is_deadly(self, image: str) -> bool:
        """Return whether processes die on an image; note that it is next."""
        if self.deaths.get(image, 0) >= DEADLY:
            return True
        if self.is_watched:
            self._write(image)
        return False

    def finish(self) -> None:
        """Forget all of it: the shard is done."""
        self.path.unlink(missing_ok=True)


def digest(*paths: Path) -> str:
    """Return the SHA-256 of those of the files that there are."""
    total = hashlib.sha256()
    for path in filter(Path.is_file, paths):
        with open(path, 'rb') as stream:
            while block := stream.read(1 << 20):
                total.update(block)
    return total.hexdigest()
