"""Describe a run: its config, its cost and the machine."""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope

from lvt_dense.config import find_base
from lvt_dense.report.page import Section
from lvt_dense.report.run import (
    config_section,
    cost_section,
    environment_section,
)
from lvt_dense.utils.errors import UserError

from .benchmark import measure
from .benchmark_subjects import Subject
from .complexity import count_complexity, make_sample, test_size

ROUNDS = 5


def describe_run(cfg: Config) -> list[Section]:
    """Describe config, cost and environment.

    Args:
        cfg: Config of the run.
    """
    base, name = find_base(cfg)
    sections = [
        config_section(
            cfg.to_dict(), None if base is None else base.to_dict(), name
        )
    ]
    cost = _cost(cfg)
    sections += [cost] if cost else []
    has_gpu = torch.cuda.is_available()
    gpu = torch.cuda.get_device_name() if has_gpu else None
    return [*sections, environment_section(gpu)]


def _cost(cfg: Config) -> Section | None:
    """Count operations and measure time; None where the size is not known."""
    try:
        size = test_size(cfg)
        rows = count_complexity(cfg, size)
    except UserError:
        return None
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    model = MODELS.build(cfg.model).eval().to(device)
    image = torch.rand(1, 3, *size, device=device)

    def call() -> object:
        with torch.inference_mode():
            sample = make_sample(model, *size)
            return model(image, [sample], mode='predict')

    (found,) = measure([Subject('model', 'eager', call)], ROUNDS, device)
    where = (
        'the GPU'
        if device == 'cuda'
        else (f'the CPU with {torch.get_num_threads()} threads')
    )
    latency = (
        f'A prediction takes {1000 * found.median:.1f} ms (median of '
        f'{ROUNDS} calls) in '
        f'PyTorch on {where}.'
    )
    table = [
        [
            row.name or '(all)',
            row.kind,
            f'{row.parameters / 1e6:.3f}',
            f'{row.macs / 1e9:.3f}',
            f'{row.activations / 1e6:.3f}',
        ]
        for row in rows
    ]
    return cost_section(table, latency, size)
