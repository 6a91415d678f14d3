"""What is in the cache of a data set, and how it is found again."""

import hashlib
import json
import os
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lvt_dense.datasets.own.formats.labeled_data import Object, Sample
from lvt_dense.utils.cache import cache_dir, write_quietly

from .crowding import ObjectCounts

VERSION = 3
Color = tuple[int, int, int]


@dataclass
class Prepared:
    """A data set that is read, cleaned and written into the cache.

    Attributes:
        root: Folder of the data set, resolved.
        classes: Names of the classes.
        colors: One color a class.
        files: File of every split: COCO JSON, a list of pairs of image and
            label map, or a list of frames.
        text: Table, notes and warnings.
        pixels: Pixels of every label in the masks of ``train``.
        shown: Some images of ``train``, to be drawn.
        most: Largest numbers of objects in an image of any split.
    """

    root: Path
    classes: list[str]
    colors: list[Color]
    files: dict[str, Path]
    text: str
    pixels: Counter = field(default_factory=Counter)
    shown: list[Sample] = field(default_factory=list)
    most: ObjectCounts = ObjectCounts()

    def save(self, path: Path) -> None:
        """Write it as JSON; errors do not matter."""
        content = dict(
            root=str(self.root),
            classes=self.classes,
            colors=self.colors,
            files={split: str(p) for split, p in self.files.items()},
            text=self.text,
            pixels=list(self.pixels.items()),
            shown=[_from_sample(sample) for sample in self.shown],
            most=asdict(self.most),
        )
        write_quietly(path, json.dumps(content, default=list))

    @classmethod
    def load(cls, path: Path) -> 'Prepared | None':
        """Read what :meth:`save` wrote; None if some of it is gone."""
        try:
            content = json.loads(path.read_text(encoding='utf-8'))
            files = {s: Path(p) for s, p in content['files'].items()}
            if not all(p.is_file() for p in files.values()):
                return None
            shown = [_to_sample(item) for item in content['shown']]
            if not all(_is_there(path) for path in _maps_of(files)):
                return None
            return cls(
                Path(content['root']),
                content['classes'],
                [tuple(c) for c in content['colors']],
                files,
                content['text'],
                Counter(dict(content['pixels'])),
                shown,
                ObjectCounts(**content['most']),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _from_sample(sample: Sample) -> dict:
    return dict(
        path=str(sample.path),
        width=sample.width,
        height=sample.height,
        objects=[asdict(item) for item in sample.objects],
        mask=sample.mask and str(sample.mask),
    )


def _to_sample(item: dict) -> Sample:
    objects = [Object(**o) for o in item.pop('objects')]
    path, mask = Path(item.pop('path')), item.pop('mask')
    return Sample(path, objects=objects, mask=mask and Path(mask), **item)


def _maps_of(files: dict[str, Path]) -> list[str]:
    """Return the label maps of lists of image and mask."""
    if next(iter(files.values())).parent.parent.name != 'masks':
        return []
    lists = [json.loads(p.read_text('utf-8')) for p in {*files.values()}]
    return [pair['mask'] for pairs in lists for pair in pairs]


def _is_there(path: str) -> bool:
    return os.path.isfile(path)


def find_prepared_file(*key: object) -> Path:
    """Name the file in the cache for what a data set is prepared from."""
    digest = hashlib.sha256(repr((VERSION, *key)).encode('utf-8', 'replace'))
    return cache_dir() / 'prepared' / f'{digest.hexdigest()[:16]}.json'
