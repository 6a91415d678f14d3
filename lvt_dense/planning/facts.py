"""Numbers of a data set that a plan depends on."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median, quantiles

from mmengine.config import Config

from lvt_dense.datasets.own.api import load_labels
from lvt_dense.datasets.own.formats import Tree, find_task
from lvt_dense.datasets.own.formats.labeled_data import LabeledData, Sample
from lvt_dense.datasets.own.prepared import find_prepared_file
from lvt_dense.utils.cache import write_quietly


@dataclass(frozen=True)
class DataFacts:
    """A data set in numbers.

    Attributes:
        layout: How its labels are stored.
        train: Number of training images.
        val: Number of validation images.
        classes: Number of classes.
        objects: Number of training objects; 0 for label maps.
        width: Median width of an image, in pixels.
        height: Median height.
        side: Median side of an object over that of its image (the roots of
            their areas), 0 to 1; None without objects.
        small_side: The same of the object that a quarter of all is smaller
            than.
    """

    layout: str
    train: int
    val: int
    classes: int
    objects: int
    width: float
    height: float
    side: float | None = None
    small_side: float | None = None


def choose_task(data: str | Path) -> tuple[str, str]:
    """Choose the task by the labels in a folder.

    Args:
        data: The folder.

    Returns:
        The task, and the reason.

    Raises:
        UserError: No labels are recognized.
    """
    tree = Tree(data, masks=True)
    place = find_prepared_file(
        'task', str(tree.root.resolve()), tree.fingerprint
    )
    try:
        task, reason = json.loads(place.read_text(encoding='utf-8'))
    except (OSError, ValueError):
        task, reason = find_task(tree)
        write_quietly(place, json.dumps([task, reason]))
    return task, reason


def read_facts(
    cfg: Config,
    data: str | Path,
    task: str,
    classes: Sequence[str] | None = None,
) -> DataFacts:
    """Read the labels of a folder, unless that was done before.

    Args:
        cfg: Config of the task.
        data: The folder.
        task: The task.
        classes: Part of the classes; None takes all.

    Raises:
        UserError: The data cannot be used.
    """
    tree = Tree(data, masks=task != 'detection')
    place = find_prepared_file(
        'facts', str(tree.root.resolve()), tree.fingerprint, task, classes
    )
    try:
        return DataFacts(**json.loads(place.read_text(encoding='utf-8')))
    except (OSError, ValueError, TypeError):
        facts = count_facts(load_labels(cfg, data, task, classes))
        write_quietly(place, json.dumps(asdict(facts)))
        return facts


def count_facts(labels: LabeledData) -> DataFacts:
    """Count what labels hold.

    Args:
        labels: Labels with all splits.
    """
    train = labels.splits['train']
    sides = [side for sample in train for side in _sides(sample)]
    quarter = quantiles(sides, n=4)[0] if len(sides) > 1 else None
    return DataFacts(
        labels.layout,
        len(train),
        len(labels.splits['val']),
        len(labels.classes),
        len(sides),
        median(s.width for s in train),
        median(s.height for s in train),
        median(sides) if sides else None,
        quarter or (sides[0] if sides else None),
    )


def facts_of_tiles(facts: DataFacts, side: int) -> DataFacts:
    """Return the facts of the tiles of a data set.

    Args:
        facts: Facts of the whole images.
        side: Height and width of a tile, in pixels.
    """
    width, height = min(side, facts.width), min(side, facts.height)
    zoom = ((facts.width * facts.height) / (width * height)) ** 0.5
    return replace(
        facts,
        width=width,
        height=height,
        side=facts.side and min(1.0, facts.side * zoom),
        small_side=facts.small_side and min(1.0, facts.small_side * zoom),
    )


def _sides(sample: Sample) -> list[float]:
    if sample.mask is not None or not sample.width or not sample.height:
        return []
    area = sample.width * sample.height
    return [
        (max(item.bbox[2] * item.bbox[3], 0.0) / area) ** 0.5
        for item in sample.objects
        if not item.is_crowd
    ]
