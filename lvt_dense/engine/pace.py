"""Fit the schedule of a run to a length that changes during the run."""


class Pace:
    """Position in a schedule of a run whose length changes.

    A schedule is written for a number of steps. If the run becomes shorter or
    longer, the rest of the schedule is compressed or stretched, so that it
    always ends with the last update.

    Args:
        total: Steps of the schedule, and updates of the run as planned.
        done: Updates so far.
        position: Steps of the schedule so far; by default ``done``.
    """

    def __init__(
        self, total: int, done: int = 0, position: int | None = None
    ) -> None:
        self.schedule = self.total = total
        self._done = done
        self._position = done if position is None else position

    def refit(self, done: int, total: int) -> None:
        """Change the length of the run.

        Args:
            done: Updates so far.
            total: Updates in all, more than ``done``.
        """
        self._position, self._done = self.position(done), done
        self.total = total

    def position(self, done: int) -> int:
        """Return the step of the schedule after so many updates."""
        rest = self.total - self._done
        if done >= self.total or rest <= 0:
            return self.schedule
        share = (done - self._done) / rest
        left = self.schedule - self._position
        return self._position + round(share * left)


def count_updates(
    seconds: float, step: float, validation: float, validations: int
) -> int:
    """Count the updates that fit into a time beside validations.

    Args:
        seconds: The time.
        step: Seconds of an update, above 0.
        validation: Seconds of a validation.
        validations: Number of validations.

    Returns:
        The number, at least 1.
    """
    return max(1, int((seconds - validation * validations) / step))


def next_check(done: int, total: int) -> int:
    """Return after which update to look at the clock again.

    The steps are small at the beginning, where an estimate may be far off,
    and at the end; between, a tenth of the run.
    """
    return done + max(1, min(done, total // 10, (total - done) // 2))
