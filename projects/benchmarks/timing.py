"""Compare two implementations in one process, turn by turn."""

import argparse
import ctypes
import gc
import re
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

import lvt_dense

SIZES = ((320, 320), (512, 512), (800, 1344))
TOLERANCE = 1e-3  # of the largest difference, in standard deviations


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
            _wait()
            start = time.perf_counter()
            run()
            _wait()
            times.append(time.perf_counter() - start)
    ratios = [theirs / mine for theirs, mine in zip(*seconds)]
    return Comparison(
        *(statistics.median(times) for times in seconds),
        statistics.median(ratios),
    )


def _wait() -> None:
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def peak_memory(run: Callable[[], object], device: str = 'cpu') -> int:
    """Measure the memory that a call needs at once, in bytes.

    On a CPU, Linux only: the peak of the resident memory is reset before the
    call.

    Args:
        run: What is measured; what it returns is counted.
        device: ``'cpu'``, or ``'cuda'`` for what PyTorch allocates there.
    """
    gc.collect()
    if device == 'cuda':
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        run()
        return torch.cuda.max_memory_allocated() - before
    ctypes.CDLL(None).malloc_trim(0)
    Path('/proc/self/clear_refs').write_text('5')
    before = _resident('VmRSS')
    run()
    return _resident('VmHWM') - before


def _resident(field: str) -> int:
    status = Path('/proc/self/status').read_text()
    return 1024 * int(re.search(rf'{field}:\s+(\d+) kB', status)[1])


def run_benchmark(
    description: str,
    names: Sequence[str],
    make_reference: Callable[[nn.Module], nn.Module],
    rounds: int = 15,
) -> None:
    """Print one line for every backbone and size.

    Args:
        description: Help text of the command line.
        names: Backbones, unless ``--names`` gives others.
        make_reference: Makes what a backbone is compared with, of the same
            weights. Its attribute ``sizes``, if it has one, are the sizes
            that it can do.
        rounds: Pairs of runs, unless ``--rounds`` gives another number.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=rounds)
    parser.add_argument('--names', nargs='+', default=names, help='backbones')
    parser.add_argument('--device', default='cpu', choices=['cpu', 'cuda'])
    parser.add_argument('--batch', type=int, default=1, help='images a call')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    print(f'{"":26}{"eager":>11}  {"ours":>11}  ratio  {"memory":>18}')
    for name in args.names:
        ours = lvt_dense.build_backbone(name).eval()
        reference = make_reference(ours).eval().to(args.device)
        ours.to(args.device)
        for size in getattr(reference, 'sizes', SIZES):
            x = torch.randn(args.batch, 3, *size, device=args.device)
            report(name, x, reference, ours, args.rounds)


@torch.inference_mode()
def report(
    name: str,
    x: Tensor,
    reference: nn.Module,
    ours: nn.Module,
    rounds: int,
) -> None:
    """Print time, memory and difference of two pyramids on one batch.

    Raises:
        RuntimeError: Their results differ.
    """
    size = tuple(x.shape[2:])
    pairs = zip(reference(x), ours(x))
    worst = max(((a - b).abs().max() / a.std()) for a, b in pairs)
    if not worst < TOLERANCE:
        raise RuntimeError(f'{name} at {size}: results differ by {worst:.1e}')
    memory = [
        peak_memory(lambda m=m: m(x), x.device.type) for m in (reference, ours)
    ]
    found = compare(lambda: reference(x), lambda: ours(x), rounds)
    side = '{} x {}'.format(*size)
    mib = '{:6.0f}  {:6.0f} MiB'.format(*(n / 2**20 for n in memory))
    print(f'{name:14}{side:>12}{found}  {mib}  {worst:.0e}', flush=True)
