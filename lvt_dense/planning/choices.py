"""The rules of a plan: functions from numbers to a choice and its reason."""

import math
from dataclasses import dataclass

from lvt_dense.utils.errors import UserError

from .facts import DataFacts
from .recipes import RECIPES, Recipe

# Share of the time of a step that grows with the number of pixels.
PIXEL_SHARE = 0.8
# Share of the time for validations, and their number.
VAL_SHARE = 0.1
FEWEST_VALS, MOST_VALS = 3, 10
# Time to predict on an image, relative to training on it.
PREDICTION = 0.6
VAL_FIXED = 1.0  # seconds of a validation without images
# Epochs, at least and at most.
FEWEST_EPOCHS, MOST_EPOCHS = 12, 300
LONG = 30  # epochs from which strong augmentation helps
# The lengths in the table are for this number of images; for other data they
# grow with the square root of the number.
USUAL_IMAGES = 500
LEAST_UPDATES = 10
START_UP = 8.0  # seconds between plan and first update
CLOSING = 0.05  # share of the time, for the end and for errors
FAR_TOO_LONG = 5
MOST_TIMING = 60.0  # seconds that steps may be timed for
TIMING_SHARE = 0.05  # of the time, at most


@dataclass(frozen=True)
class Choice:
    """A choice of a plan.

    Attributes:
        name: What is chosen.
        value: The choice, in words.
        reason: Why.
    """

    name: str
    value: str
    reason: str = ''


def choose_recipe(
    task: str, goal: str, facts: DataFacts
) -> tuple[Recipe, str]:
    """Choose the recipe of a task.

    This is the first one for the goal, unless its input is too small for the
    objects and another recipe has a larger one.

    Args:
        task: The task.
        goal: Where the model is to run.
        facts: The data.

    Returns:
        The recipe, and the reason.
    """
    known = [r for r in RECIPES if r.task == task]
    first = next(r for r in known if goal in r.goals)
    if _smallest_side(first, facts) >= first.object_pixels:
        return first, f'{first.why}; chosen for --for {goal}'
    best = max(known, key=lambda r: _smallest_side(r, facts) / r.object_pixels)
    if best is first:
        return first, f'{first.why}; chosen for --for {goal}'
    return best, (
        f'a quarter of the objects are smaller than {facts.small_side:.1%} of '
        f'the image, too small for {first.title}'
    )


def _smallest_side(recipe: Recipe, facts: DataFacts) -> float:
    """Return the side of small objects at the largest input, in pixels."""
    if facts.small_side is None:
        return math.inf
    return facts.small_side * recipe.sizes[-1]


def choose_size(
    recipe: Recipe, goal: str, facts: DataFacts
) -> tuple[int, str]:
    """Choose the shorter side of the input, in pixels.

    Args:
        recipe: The recipe.
        goal: Where the model is to run.
        facts: The data.

    Returns:
        One of the recipe's sizes, and the reason.
    """
    usual = recipe.size[goal]
    if facts.small_side is None:
        return usual, f'usual for --for {goal}'
    needed = needed_size(recipe, facts)
    side = f'{facts.small_side:.0%}'
    if needed > usual:
        return needed, (
            f'a quarter of the objects are smaller than {side} of the image, '
            f'or {facts.small_side * needed:.0f} pixels at this size'
        )
    return usual, (
        f'usual for --for {goal}; three quarters of the objects are larger '
        f'than {side} of the image, or {facts.small_side * usual:.0f} pixels'
    )


def needed_size(recipe: Recipe, facts: DataFacts) -> int:
    """Return the smallest size at which the objects are large enough."""
    if not facts.small_side:
        return recipe.sizes[0]
    side = recipe.object_pixels / facts.small_side
    fits = [size for size in recipe.sizes if size >= side]
    return fits[0] if fits else recipe.sizes[-1]


def choose_batch(
    recipe: Recipe, kind: str, images: int, gpus: int = 1
) -> tuple[int, str]:
    """Choose the images of an update, on each GPU.

    Args:
        recipe: The recipe.
        kind: ``cpu`` or ``gpu``.
        images: Training images.
        gpus: Processes that train together.
    """
    usual = recipe.batch[kind]
    most = max(2, images // (4 * gpus))
    if usual <= most:
        return usual, f'usual for this recipe on a {kind.upper()}'
    batch = 2 ** int(math.log2(most))
    return min(batch, max(images // gpus, 1)), (
        f'instead of {usual}: there are only {images} images'
    )


def usual_updates(
    recipe: Recipe, images: int, batch: int, is_pretrained: bool
) -> tuple[int, str]:
    """Choose the length of a training without a limit.

    Args:
        recipe: The recipe.
        images: Training images.
        batch: Images of an update, on all GPUs.
        is_pretrained: Whether it starts from pretrained weights.
    """
    base = recipe.start_images if is_pretrained else recipe.scratch_images
    seen = base * math.sqrt(images / USUAL_IMAGES)
    epochs = min(max(seen / images, FEWEST_EPOCHS), MOST_EPOCHS)
    start = 'pretrained' if is_pretrained else 'random'
    return max(LEAST_UPDATES, math.ceil(epochs * images / batch)), (
        f'usual for {images} images and {start} weights; change it with '
        '--minutes M or --epochs N'
    )


def scale_step(step: float, size: int, other: int) -> float:
    """Estimate the seconds of a step at another size."""
    return step * (1 - PIXEL_SHARE + PIXEL_SHARE * (other / size) ** 2)


def most_timing(minutes: float | None) -> float:
    """Return the seconds that steps may be timed for."""
    if minutes is None:
        return MOST_TIMING
    return min(MOST_TIMING, 60 * minutes * TIMING_SHARE)


@dataclass(frozen=True)
class Budget:
    """The time of a training.

    Attributes:
        seconds: For updates and validations.
        minutes: As the user gave it.
    """

    seconds: float
    minutes: float

    @classmethod
    def after(cls, spent: float, minutes: float) -> 'Budget':
        """Subtract the time that start-up and the end of the training need.

        Args:
            spent: Seconds since the start of the command.
            minutes: The whole time.

        Raises:
            UserError: Nothing is left.
        """
        total = 60 * minutes
        left = total * (1 - CLOSING) - spent - START_UP
        if left <= 0:
            least = math.ceil((spent + START_UP) / 30)
            raise UserError(
                f'--minutes {minutes:g}: start-up, reading the data and '
                f'timing a step took {spent:.0f} s; give {least} or more'
            )
        return cls(left, minutes)


def fit_size(
    recipe: Recipe, size: int, step: float, budget: Budget, floor: int
) -> tuple[int, str]:
    """Choose a smaller size where the time is short.

    Args:
        recipe: The recipe.
        size: Size that the data ask for.
        step: Seconds of a step at this size.
        budget: The time.
        floor: Size below which the objects are too small.

    Returns:
        The size, and the reason if it is another one.
    """
    wanted = recipe.least_updates
    seconds = budget.seconds * (1 - VAL_SHARE)
    allowed = [s for s in recipe.sizes if min(floor, size) <= s <= size]
    for candidate in reversed(allowed):
        if seconds / scale_step(step, size, candidate) >= wanted:
            break
    else:
        candidate = allowed[0]
    if candidate == size:
        return size, ''
    count = int(seconds / scale_step(step, size, candidate))
    return candidate, (
        f'instead of {size}: {budget.minutes:g} minutes allow {count} updates '
        f'at {candidate} pixels, but only {int(seconds / step)} at {size}'
    )


def estimate_validation(step: float, batch: int, images: float) -> float:
    """Estimate the seconds of a validation.

    Args:
        step: Seconds of a training step.
        batch: Images of a step.
        images: Images of the validation, on each GPU.
    """
    return VAL_FIXED + PREDICTION * step / batch * images


def choose_validations(seconds: float, validation: float) -> int:
    """Choose the number of validations.

    They take a tenth of the time at most. Where that is less than three,
    there are three, unless they would take three tenths of it.

    Args:
        seconds: Seconds of updates and validations.
        validation: Seconds of one.
    """
    count = int(VAL_SHARE * seconds / validation)
    if count < FEWEST_VALS:
        count = min(FEWEST_VALS, int(0.3 * seconds / validation))
    return max(1, min(count, MOST_VALS))


def fit_updates(
    budget: Budget, step: float, validation: float, most: int
) -> tuple[int, int, str]:
    """Choose the length that fits into a time.

    Args:
        budget: The time.
        step: Seconds of a step.
        validation: Seconds of a validation.
        most: Updates beyond which no training makes sense.

    Returns:
        Updates, validations, and the reason.

    Raises:
        UserError: Hardly any update fits.
    """
    validations = choose_validations(budget.seconds, validation)
    updates = int((budget.seconds - validations * validation) / step)
    if updates < LEAST_UPDATES:
        least = LEAST_UPDATES * step + validation + 60 * budget.minutes
        least = math.ceil((least - budget.seconds) / 30) / 2
        raise UserError(
            f'--minutes {budget.minutes:g}: an update takes {step:.2g} s and '
            f'a validation {validation:.2g} s, so only {max(updates, 0)} '
            f'updates would fit; give {max(least, budget.minutes + 1):g} or '
            'more, or smaller images'
        )
    if updates > most:
        return (
            most,
            validations,
            (
                f'{MOST_EPOCHS} epochs, which take less than '
                f'{budget.minutes:g} minutes: more would not help'
            ),
        )
    return (
        updates,
        validations,
        f'fits into {budget.minutes:g} minutes at {step:.2g} s per update',
    )


def choose_augment(recipe: Recipe, epochs: float) -> tuple[str, str]:
    """Choose a preset of augmentation.

    Args:
        recipe: The recipe.
        epochs: Passes through the data.
    """
    short, long = recipe.augment
    if short == long:
        return long, 'usual for this recipe'
    times = f'{epochs:.0f} times'
    if epochs < LONG:
        return short, f'each image is seen only {times}'
    return long, f'each image is seen {times}'


def warn_of_length(
    epochs: float, images: int, seen: float = RECIPES[0].scratch_images
) -> str | None:
    """Warn if the recipe is far longer than its data need.

    Args:
        epochs: Passes through the data, as configured.
        images: Training images.
        seen: Images that a training from random weights takes, each counted
            as often as it is seen, for data of the usual size.

    Returns:
        A line, or None.
    """
    needed = max(FEWEST_EPOCHS, seen / math.sqrt(images * USUAL_IMAGES))
    if epochs < FAR_TOO_LONG * needed:
        return None
    return (
        f'the recipe has {epochs:.0f} epochs; {images} images need about '
        f'{needed:.0f}: shorten the training with --epochs or --minutes'
    )
