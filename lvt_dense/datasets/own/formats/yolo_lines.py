"""Lines of YOLO's label files: boxes, polygons, key points."""

import math
from pathlib import Path

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.reading import read_lines

from .labeled_data import LabeledData, Object

_TOLERANCE = 0.02  # labels may reach past the image by this share of a side


class YoloLines:
    """Reads the lines of label files.

    Args:
        where: What describes the data set, for messages.
        classes: Names of the classes; empty if nothing names them.
        key_points: Numbers an object has for its key points.
    """

    def __init__(
        self, where: Path, classes: list[str], key_points: int
    ) -> None:
        self.where = where
        self.classes = classes
        self.key_points = key_points
        self.posed = self.polygons = self.loose = 0
        self.length = 0

    def read(self, path: Path) -> list[Object]:
        """Read the objects of a file, in fractions of the image's size."""
        objects = []
        seen = set()
        for number, line in enumerate(read_lines(path), 1):
            words = line.split()
            if not words or line in seen:
                continue
            seen.add(line)
            objects.append(self._object(words, f'{path}:{number}'))
        return objects

    def finish(self, data: LabeledData) -> None:
        """Say what was left out.

        Raises:
            UserError: All polygons look like boxes with key points.
        """
        if self.posed:
            data.notes.append(
                f'key points of {self.posed} objects are left out; their '
                'boxes are read'
            )
        if self.polygons and not self.loose:
            raise UserError(
                f'{self.where}: the {self.length} numbers of each line look '
                'like a box with key points, not like a polygon: add '
                'kpt_shape: [number of points, 2 or 3] to data.yaml'
            )

    def _object(self, words: list[str], where: str) -> Object:
        label, points = self._numbers(words, where)
        source = Path(where).name
        if self.key_points and len(points) == 4 + self.key_points:
            self.posed += 1
            points = points[:4]
        _check_count(len(words), self.key_points, where)
        if len(points) != 4 and self.key_points:
            raise UserError(
                f'{where}: {len(words)} values; with the kpt_shape of '
                f'data.yaml, a line has 5 or {5 + self.key_points}'
            )
        if max(points) > 1 + _TOLERANCE or min(points) < -_TOLERANCE:
            worst = max(points, key=lambda v: abs(v - 0.5))
            raise UserError(
                f'{where}: {worst:g} is no fraction of the '
                "image's size; YOLO's coordinates are between 0 and 1 (key "
                'points need kpt_shape in data.yaml)'
            )
        if len(points) == 4:
            x, y, width, height = points
            box = (x - width / 2, y - height / 2, width, height)
            return Object(label, box, source=source)
        self.polygons += 1
        self.length = len(points)
        self.loose += not _is_pose(points)
        xs, ys = points[::2], points[1::2]
        box = (min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys))
        return Object(label, box, [points], source=source)

    def _numbers(
        self, words: list[str], where: str
    ) -> tuple[int, list[float]]:
        try:
            values = [float(word) for word in words]
        except ValueError as error:
            raise UserError(f'{where}: {error}') from None
        if not all(map(math.isfinite, values)):
            raise UserError(f'{where}: a value is not finite')
        label, count = int(values[0]), len(self.classes)
        if label != values[0] or label < 0 or (count and label >= count):
            raise UserError(
                f'{where}: class {words[0]}, but the {count} names have '
                f'the numbers 0 to {count - 1}'
            )
        return label, values[1:]


def _check_count(number: int, key_points: int, where: str) -> None:
    if number in (5, 5 + key_points):
        return
    if number < 7 or number % 2 == 0:
        raise UserError(
            f'{where}: {number} values; a box has 5 (class, x and y of '
            'the center, width, height), a polygon the class and x, y of '
            'three or more points'
        )


def _is_pose(values: list[float]) -> bool:
    """Whether numbers look like a box and key points that fill it."""
    x, y, width, height = values[:4]
    rest = values[4:]
    for size in (2, 3):
        if len(rest) < 2 * size or len(rest) % size:
            continue
        points = [
            (u, v) for u, v in zip(rest[::size], rest[1::size]) if u or v
        ]
        us = [abs(u - x) / (width or 1) for u, _ in points]
        vs = [abs(v - y) / (height or 1) for _, v in points]
        if len(points) < 2 or max(us) > 0.55 or max(vs) > 0.55:
            continue
        (u1, v1), (u2, v2) = map(min, zip(*points)), map(max, zip(*points))
        if u2 - u1 > width / 2 and v2 - v1 > height / 2:
            return True
    return False
