"""Measure latency and memory of backbones, models and exported files.

Machines are noisy: all subjects run in turn, round after round, in one
process, and each is compared with the first by the ratio of the medians.
"""

import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.progress import tqdm

from .benchmark_subjects import MODES, Subject, make_subjects

# Seconds before every call: the threads of a runtime wait actively for more
# work after a call, and would take the cores of the next runtime.
PAUSE = 0.1


@dataclass
class Measurement:
    """Timing of one subject.

    Attributes:
        name: The subject.
        mode: How it ran, see :data:`MODES`.
        seconds: Time of every call.
        memory: Growth of the process at most during a call, in bytes; on a
            GPU the memory that PyTorch allocated at most.
        ratio: Median over that of the first subject.
    """

    name: str
    mode: str
    seconds: list[float] = field(default_factory=list)
    memory: int = 0
    ratio: float = 1.0

    @property
    def median(self) -> float:
        """Median time of a call in seconds."""
        return statistics.median(self.seconds)

    @property
    def p90(self) -> float:
        """90th percentile of the time of a call in seconds."""
        ordered = sorted(self.seconds)
        return ordered[min(int(0.9 * len(ordered)), len(ordered) - 1)]


def benchmark(
    names: Sequence[str],
    size: Sequence[int] = (320, 320),
    batch: int = 1,
    modes: Sequence[str] = ('eager',),
    threads: int = 1,
    rounds: int = 20,
    device: str = 'cpu',
    out: str | None = None,
) -> list[Measurement]:
    """Measure subjects in turn.

    Args:
        names: Backbones, ``timm:NAME``, configs, or exported files.
        size: Height and width of the images.
        batch: Images a call.
        modes: How PyTorch models run, of :data:`MODES`.
        threads: Threads on a CPU.
        rounds: Calls of each subject.
        device: ``'cpu'`` or ``'cuda'``.
        out: ``.json`` file to write; a picture lies beside it.

    Returns:
        One measurement for each subject and mode, the first one first.

    Raises:
        UserError: A subject cannot be built, or an argument is out of range.
    """
    if rounds < 1 or batch < 1 or threads < 1:
        raise UserError('rounds, batch and threads have to be 1 or more')
    unknown = set(modes) - set(MODES)
    if unknown:
        raise UserError(
            f'--modes {", ".join(sorted(unknown))}: choose from '
            f'{", ".join(MODES)}'
        )
    torch.set_num_threads(threads)
    image = torch.rand(batch, 3, *size, device=device)
    subjects = [
        subject
        for name in names
        for subject in make_subjects(name, modes, image, threads)
    ]
    found = measure(subjects, rounds, device, pause=PAUSE)
    if out:
        _write(found, Path(out), size, batch, threads, device)
    return found


def measure(
    subjects: Sequence[Subject],
    rounds: int,
    device: str = 'cpu',
    clock: Callable[[], float] = time.perf_counter,
    pause: float = PAUSE,
) -> list[Measurement]:
    """Measure what can be called, round after round.

    Args:
        subjects: What is measured; ratios are to the first one.
        rounds: Calls of each, after two to warm up.
        device: ``'cpu'`` or ``'cuda'``.
        clock: Seconds; ``time.process_time`` leaves out what other programs
            take of a busy CPU, and suits a single thread.
        pause: Seconds to wait before a call, on a CPU.

    Returns:
        One measurement for each subject.
    """
    found = [Measurement(s.name, s.mode) for s in subjects]
    for subject, measurement in zip(subjects, found):
        with watch_memory(device) as peak:
            subject.run()
        measurement.memory = peak[0]
        subject.run()
    for _ in tqdm(range(rounds), 'Rounds'):
        for subject, measurement in zip(subjects, found):
            time.sleep(pause if device == 'cpu' else 0)
            measurement.seconds.append(_time(subject.run, device, clock))
    for measurement in found:
        measurement.ratio = measurement.median / found[0].median
    return found


def _time(
    call: Callable[[], object], device: str, clock: Callable[[], float]
) -> float:
    if device != 'cpu':
        torch.cuda.synchronize()
    start = clock()
    call()
    if device != 'cpu':
        torch.cuda.synchronize()
    return clock() - start


@contextmanager
def watch_memory(device: str) -> Iterator[list[int]]:
    """Watch the memory; the list holds the growth at most, in bytes."""
    peak = [0]
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats()
        yield peak
        peak[0] = torch.cuda.max_memory_allocated()
        return
    reset = Path('/proc/self/clear_refs')
    if not reset.exists():  # only Linux tells
        yield peak
        return
    reset.write_text('5')
    before = _resident('VmRSS')
    yield peak
    peak[0] = max(_resident('VmHWM') - before, 0)


def _resident(name: str) -> int:
    status = Path('/proc/self/status').read_text()
    line = next(x for x in status.splitlines() if x.startswith(name))
    return 1024 * int(line.split()[1])


def _write(
    found: Sequence[Measurement],
    out: Path,
    size: Sequence[int],
    batch: int,
    threads: int,
    device: str,
) -> None:
    rows = [
        dict(
            asdict(m), median=m.median, p90=m.p90, throughput=batch / m.median
        )
        for m in found
    ]
    info = dict(
        size=list(size), batch=batch, threads=threads, device=device, rows=rows
    )
    write_atomically(out, json.dumps(info, indent=1) + '\n')
    draw_bars(found, out.with_suffix('.png'), size)


def draw_bars(
    found: Sequence[Measurement], out: Path, size: Sequence[int]
) -> None:
    """Draw the medians as bars, with the ratios to the first subject."""
    import io

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1 + 0.4 * len(found)), layout='constrained')
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    labels = [f'{m.name} ({m.mode})' for m in found]
    bars = axes.barh(labels, [1000 * m.median for m in found])
    axes.bar_label(
        bars, [f'{1000 * m.median:.1f} ms, x{m.ratio:.2f}' for m in found]
    )
    axes.invert_yaxis()
    axes.margins(x=0.25)
    axes.set_xlabel(f'median latency in ms at {size[0]}x{size[1]}')
    content = io.BytesIO()
    figure.savefig(content, format='png', dpi=120)
    write_atomically(out, content.getvalue())


def format_measurements(found: Sequence[Measurement], batch: int) -> str:
    """Return the measurements as a Markdown table."""
    lines = [
        '| subject | mode | median (ms) | p90 (ms) | images/s | memory (MiB) '
        '| ratio |',
        '| --- | --- | ---: | ---: | ---: | ---: | ---: |',
    ]
    lines += [
        f'| {m.name} | {m.mode} | {1000 * m.median:.1f} | {1000 * m.p90:.1f} '
        f'| {batch / m.median:.2f} | {m.memory / 2**20:.0f} | {m.ratio:.2f} |'
        for m in found
    ]
    return '\n'.join(lines)
