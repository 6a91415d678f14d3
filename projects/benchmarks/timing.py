"""Compare two implementations in one process, turn by turn."""

import ctypes
import gc
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Comparison(NamedTuple):
    """Median seconds of both, and the median of the ratios of neighbors."""

    reference: float
    ours: float
    ratio: float

    def __str__(self) -> str:
        return (
            f'{self.reference * 1e3:8.1f} ms  {self.ours * 1e3:8.1f} ms  '
            f'x {self.ratio:.2f}'
        )


def compare(
    reference: Callable[[], object],
    ours: Callable[[], object],
    rounds: int = 15,
) -> Comparison:
    """Time two functions, interleaved, so that noise hits both alike.

    Args:
        reference: What is compared with.
        ours: What is measured; a ratio above 1 says that it is faster.
        rounds: Pairs of runs, after one of each to warm up.

    Returns:
        Medians, in seconds of wall clock.
    """
    seconds = ([], [])
    reference(), ours()
    for _ in range(rounds):
        for run, times in zip((reference, ours), seconds):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
    ratios = [theirs / mine for theirs, mine in zip(*seconds)]
    return Comparison(
        *(statistics.median(times) for times in seconds),
        statistics.median(ratios),
    )


def peak_memory(run: Callable[[], object]) -> int:
    """Measure the main memory that a call needs at once, in bytes.

    Linux only: the peak of the resident memory is reset before the call.

    Args:
        run: What is measured; what it returns is counted.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path('/proc/self/clear_refs').write_text('5')
    before = _resident('VmRSS')
    run()
    return _resident('VmHWM') - before


def _resident(field: str) -> int:
    status = Path('/proc/self/status').read_text()
    return 1024 * int(re.search(rf'{field}:\s+(\d+) kB', status)[1])
