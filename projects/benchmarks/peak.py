"""Which share of the machine's peak the backbones reach in PyTorch.

    python projects/benchmarks/peak.py --threads 2

Peak is the faster one of a matrix product and a 3x3 convolution, measured in
turn with the backbones. A share is that of the multiply-accumulates counted:
depthwise convolutions, norms, activations and copies are bound by memory, and
no program brings a network of them to 100 %. With ``--profile`` the operators
of each backbone follow, by their time.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.profiler import ProfilerActivity, profile

import lvt_dense
from lvt_dense.apis.zoo import macs

NAMES = ('mobilevit_s', 'emo_5m', 'emo_1m', 'nasvit_t2', 'plg_vit_lw_r')


def product(size: int = 1024) -> tuple[Callable[[], Tensor], float]:
    """Return a matrix product and its floating-point operations."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return lambda: a @ b, 2.0 * size**3


def convolution(
    channels: int = 128, side: int = 64
) -> tuple[Callable[[], Tensor], float]:
    """Return a 3x3 convolution and its floating-point operations."""
    x = torch.randn(1, channels, side, side)
    x = x.contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels, channels, 3, 3)
    weight = weight.contiguous(memory_format=torch.channels_last)
    operations = 2.0 * side**2 * channels**2 * 9
    return lambda: F.conv2d(x, weight, padding=1), operations


def backbone(name: str, side: int) -> tuple[Callable[[], object], float]:
    """Return the pass of a backbone and its floating-point operations."""
    model = lvt_dense.build_backbone(name).eval()
    x = torch.randn(1, 3, side, side)
    with torch.device('meta'):
        counted = lvt_dense.build_backbone(name).eval()
    operations = 2.0 * macs(counted, side, side)
    return lambda: model(x), operations


@torch.inference_mode()
def measure(
    calls: dict[str, tuple[Callable[[], object], float]], rounds: int
) -> dict[str, tuple[float, float]]:
    """Measure in turn; return median seconds and GFLOP/s by name."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for run, _ in calls.values():
        run(), run()
    for _ in range(rounds):
        for name, (run, _) in calls.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(s) for name, s in seconds.items()}
    return {
        name: (medians[name], operations / medians[name] / 1e9)
        for name, (_, operations) in calls.items()
    }


@torch.inference_mode()
def print_profile(run: Callable[[], object], rows: int = 12) -> None:
    """Print the operators of a pass by the time of their own."""
    run()
    with profile(activities=[ProfilerActivity.CPU]) as found:
        for _ in range(3):
            run()
    events = found.key_averages()
    total = sum(e.self_cpu_time_total for e in events)
    events = sorted(events, key=lambda e: -e.self_cpu_time_total)[:rows]
    for event in events:
        share = event.self_cpu_time_total / total
        print(f'    {event.key:44} {share:6.1%} {event.count // 3:5} calls')


def main() -> None:
    """Print one line for every backbone."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--names', nargs='+', default=NAMES)
    parser.add_argument('--side', type=int, default=512)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=15)
    parser.add_argument('--profile', action='store_true')
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models = {name: backbone(name, args.side) for name in args.names}
    calls = {'product': product(), 'convolution': convolution(), **models}
    found = measure(calls, args.rounds)
    peak = max(found['product'][1], found['convolution'][1])
    for name, (seconds, speed) in found.items():
        print(
            f'{name:16} {1e3 * seconds:8.1f} ms {speed:7.1f} GFLOP/s '
            f'{speed / peak:6.1%} of the peak',
            flush=True,
        )
    if args.profile:
        for name in args.names:
            print(name)
            print_profile(models[name][0])


if __name__ == '__main__':
    main()
