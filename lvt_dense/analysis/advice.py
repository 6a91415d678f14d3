"""Decide from the results of a training what would improve them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from .detection import DetectionFigures
from .error_kinds import KINDS
from .semantic import SemanticFigures

# Thresholds of the suggestions; figures are in [0, 1].
RISE = 0.02  # of the best value, in the last quarter of the validations
GAP = 0.15  # from validation to training images
SMALL = 0.5  # of the large objects' figure
SMALL_SHARE = 0.2  # of the objects
WEAK = 0.8  # of the mean of the classes
POOR = 0.5  # figure of a class
RARE = 0.5  # of the images of the median class
FEW = 50  # training objects of a class, or images in segmentation
MOST = 3  # suggestions


@dataclass(frozen=True)
class ClassResult:
    """A class in validation and training.

    Attributes:
        name: Name of the class.
        score: AP50, or IoU, in [0, 1].
        objects: Training objects; images that show it in segmentation.
        images: Training images that show it.
    """

    name: str
    score: float
    objects: int
    images: int


@dataclass
class Result:
    """Figures of a training.

    Attributes:
        metric: Name of the metric of the best checkpoint.
        best: Its best value.
        curve: Epoch and value of every validation.
        score_name: Figure of the classes, such as ``AP50``.
        unit: What is counted of a class in training.
        classes: Those that occur in the validation images.
        errors: What each kind of error costs, in [0, 1].
        small: Figure of small and of large objects; None where there are
            none of one.
        small_share: Share of the objects that are small; 1 where it is not
            known.
        train_score: The figure of all classes on training images.
        val_score: The same on validation images.
        images: Validation images of these figures.
        higher_is_better: Whether more of the metric is better.
    """

    metric: str
    best: float
    curve: Sequence[tuple[float, float]]
    score_name: str = 'AP50'
    unit: str = 'objects'
    classes: Sequence[ClassResult] = ()
    errors: dict[str, float] = field(default_factory=dict)
    small: tuple[float, float] | None = None
    small_share: float = 1.0
    train_score: float | None = None
    val_score: float | None = None
    images: int = 0
    higher_is_better: bool = True

    @property
    def best_epoch(self) -> float | None:
        """Epoch of the best value; None if it is of an earlier run."""
        return next((e for e, v in self.curve if v == self.best), None)

    def weakest(self, count: int = 3) -> list[ClassResult]:
        """Return the classes of the lowest figures, if there are several."""
        if len(self.classes) < 2:
            return []
        return sorted(self.classes, key=lambda c: c.score)[:count]

    def worst_error(self) -> tuple[str, float] | None:
        """Return the kind of error that costs most, and its cost."""
        kinds = {k: self.errors[k] for k in KINDS if self.errors.get(k)}
        if not kinds:
            return None
        kind = max(kinds, key=lambda k: kinds[k])
        return kind, kinds[kind]


@dataclass(frozen=True)
class Advice:
    """A suggestion.

    Attributes:
        text: The suggestion, with the figures that lead to it.
        options: Options of the next training; empty if there is none for it.
    """

    text: str
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class UsedSettings:
    """Settings that the training used.

    Attributes:
        epochs: Passes through the data.
        size: Longer side of the network's image in pixels, if it is known.
        tiles: Whether images are cut into tiles.
        balance: Whether rare classes are drawn more often.
        can_tile: Whether ``--tiles`` is for this task.
    """

    epochs: int | None = None
    size: int | None = None
    tiles: bool = False
    balance: bool = False
    can_tile: bool = True


def advise(result: Result, used: UsedSettings) -> list[Advice]:
    """Suggest what would improve a training most.

    Args:
        result: What was reached.
        used: Settings of the training.

    Returns:
        At most :data:`MOST` suggestions, the most certain first.
    """
    found = [
        *_advise_longer(result, used),
        *_advise_against_overfitting(result),
        *_advise_on_rare_classes(result, used),
        *_advise_on_small_objects(result, used),
    ]
    if not found:
        found = [
            Advice(
                'no figure stands out: label more images like those with '
                'errors, which the report shows'
            )
        ]
    return found[:MOST]


def _advise_longer(result: Result, used: UsedSettings) -> Iterator[Advice]:
    options = (
        ('--resume', '--epochs', str(2 * used.epochs)) if used.epochs else ()
    )
    if result.best == 0 and result.higher_is_better:
        text = f'train longer: {result.metric} is still 0'
        yield Advice(text, options)
        return
    values = [value for _, value in result.curve]
    if len(values) < 4 or values[-1] != result.best:
        return
    last = max(len(values) // 4, 1)
    before = values[-1 - last]
    gain = values[-1] - before
    if not result.higher_is_better:
        gain = -gain
    if gain >= RISE * abs(result.best) > 0:
        how = 'rising' if result.higher_is_better else 'falling'
        yield Advice(
            f'train longer: {result.metric} was still {how} at the end, from '
            f'{before:.4g} to {values[-1]:.4g} in the last {last} of '
            f'{len(values)} validations',
            options,
        )


def _advise_against_overfitting(result: Result) -> Iterator[Advice]:
    train, val = result.train_score, result.val_score
    if train is not None and val is not None and train - val > GAP:
        yield Advice(
            f'more images, or stronger augmentation: {result.score_name} is '
            f'{train:.2f} on training and {val:.2f} on validation images',
            ('--augment', 'strong'),
        )


def _advise_on_rare_classes(
    result: Result, used: UsedSettings
) -> Iterator[Advice]:
    if not result.classes:
        return
    mean = sum(c.score for c in result.classes) / len(result.classes)
    counts = sorted(c.images for c in result.classes)
    limit = RARE * counts[len(counts) // 2]
    ordered = sorted(result.classes, key=lambda c: c.objects)
    rare = [c for c in ordered if c.images < limit and c.score < WEAK * mean]
    few = [c for c in ordered if c.objects < FEW and c.score < POOR]
    names = ', '.join(
        f'{c.name} ({c.objects} {result.unit})' for c in (rare or few)[:MOST]
    )
    if rare:
        yield Advice(
            f'more images of {names}: rarer than other classes, and below '
            f'the mean {result.score_name} of {mean:.2f}',
            () if used.balance else ('--balance',),
        )
    elif few:
        yield Advice(
            f'more images of {names}: fewer than {FEW} {result.unit} to '
            'train on'
        )


def _advise_on_small_objects(
    result: Result, used: UsedSettings
) -> Iterator[Advice]:
    if result.small is None or result.small_share < SMALL_SHARE:
        return
    small, large = result.small
    if large < POOR / 5 or small >= SMALL * large:
        return
    text = (
        f'larger images: small objects score {small:.2f}, large ones '
        f'{large:.2f}'
    )
    if used.tiles or not used.can_tile or used.size is None:
        yield Advice(f'{text}; raise the scale of Resize in the pipelines')
    else:
        yield Advice(text, ('--tiles', str(used.size)))


def add_detection_figures(
    figures: DetectionFigures, result: Result, counts: dict[str, tuple]
) -> None:
    """Add the figures of a detector to a result, in place.

    Args:
        figures: Of the validation images.
        result: The result.
        counts: Objects and images in training by class.
    """
    first = next(iter(figures.overall))  # of other overlaps than COCO's
    name = 'AP50' if 'AP50' in figures.overall else first
    result.score_name = name
    result.classes = [
        ClassResult(label, row[name], *counts.get(label, (0, 0)))
        for label, row, number in zip(
            figures.classes, figures.per_class, figures.num_truths
        )
        if number
    ]
    result.errors = dict(figures.errors.costs)
    result.val_score = figures.overall[name]
    small = figures.overall.get('APs'), figures.overall.get('APl')
    if all(v is not None and v == v for v in small):
        result.small = small  # type: ignore[assignment]
        areas = figures.truths.areas[~figures.truths.ignored]
        result.small_share = float((areas < 32**2).mean())


def add_semantic_figures(
    figures: SemanticFigures, result: Result, counts: dict[str, tuple]
) -> None:
    """Add the figures of a segmenter to a result, in place.

    Args:
        figures: Of the validation images.
        result: The result.
        counts: Images in training by class, twice.
    """
    result.score_name, result.unit = 'IoU', 'images'
    result.classes = [
        ClassResult(label, row['IoU'], *counts.get(label, (0, 0)))
        for label, row in zip(figures.classes, figures.per_class)
        if row['IoU'] == row['IoU']
    ]
    result.val_score = figures.overall['mIoU']
    small = figures.overall['Acc small'], figures.overall['Acc large']
    if all(v == v for v in small):
        result.small = small
