"""Work on many files at once."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lvt_dense.utils.progress import tqdm

_THREADS = 8
_CHUNK = 128  # items; handing over single ones takes longer than the work
T = TypeVar('T')
R = TypeVar('R')


def map_in_threads(
    function: Callable[[T], R],
    items: Sequence[T],
    name: str,
    chunk: int = _CHUNK,
) -> list[R]:
    """Apply a function to all items, with a progress bar.

    Args:
        function: Spends its time in reading or in code that lets other
            threads run, such as NumPy's or a decoder's.
        items: Its arguments.
        name: What the items are, for the progress bar.
        chunk: Items that a thread takes at once.

    Returns:
        The results, in the order of the items.
    """
    parts = [items[i : i + chunk] for i in range(0, len(items), chunk)]
    results: list[R] = []
    with (
        ThreadPoolExecutor(_THREADS) as pool,
        tqdm(total=len(items), desc=name, leave=False, delay=1) as bar,
    ):
        for found in pool.map(lambda part: list(map(function, part)), parts):
            results += found
            bar.update(len(found))
    return results
