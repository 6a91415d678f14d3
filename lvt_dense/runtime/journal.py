"""Record the completed images of a run, so that it can be continued."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .errors import InputError

NAME = 'predictions.jsonl.partial'


class Journal:
    """File with one line of JSON for each image that is done.

    Args:
        folder: Folder of the results; created.
        settings: What the results depend on. A file of another run with the
            same settings is continued.
        resumes: Whether images can be told apart in another run.

    Raises:
        InputError: The folder has the file of a run with other settings.
    """

    def __init__(
        self, folder: Path, settings: dict[str, Any], resumes: bool = True
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / NAME
        self.done: dict[str, Any] = {}
        if resumes and self.path.exists():
            self._go_on(settings)
        else:
            self.path.unlink(missing_ok=True)
        self._file = self.path.open('a', encoding='utf-8')
        if not self._file.tell():
            self._write(dict(settings=settings))

    def _go_on(self, settings: dict[str, Any]) -> None:
        data = self.path.read_bytes()
        # A run that was killed may have left a part of a line.
        whole = data[: data.rfind(b'\n') + 1]
        if len(whole) < len(data):
            with open(self.path, 'r+b') as file:
                file.truncate(len(whole))
        lines = whole.decode('utf-8').splitlines()
        if not lines:
            return
        found = json.loads(lines[0])['settings']
        changed = [k for k in settings if found.get(k) != settings[k]]
        if changed:
            raise InputError(
                f'{self.path} is of an interrupted run with another '
                f'{changed[0]} ({found.get(changed[0])}): finish that run, '
                'remove the file, or choose another --out'
            )
        for line in lines[1:]:
            entry = json.loads(line)
            self.done[entry['image']] = entry['stamp']

    def add(self, record: dict[str, Any], stamp: Any) -> None:
        """Note that an image is done.

        Args:
            record: What was found in it.
            stamp: What changes with the image.
        """
        self._write(dict(image=record['image'], stamp=stamp, record=record))

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry) + '\n')
        self._file.flush()

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield what was found, the last record of each image."""
        lines: dict[str, int] = {}
        with open(self.path, encoding='utf-8') as file:
            next(file)
            for number, line in enumerate(file):
                lines[json.loads(line)['image']] = number
        last = set(lines.values())
        with open(self.path, encoding='utf-8') as file:
            next(file)
            for number, line in enumerate(file):
                if number in last:
                    yield json.loads(line)['record']

    def close(self, remove: bool) -> None:
        """Close the file, and remove it where the run is complete."""
        self._file.close()
        if remove:
            self.path.unlink(missing_ok=True)


def stamp_of(image: Any) -> Any:
    """Return what changes with an image file: its size and its time."""
    if not isinstance(image, Path):
        return None
    status = image.stat()
    return [status.st_size, status.st_mtime_ns]
