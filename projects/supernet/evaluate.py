"""A trained supernet, and what its sub-networks are worth and cost."""

import copy
import statistics
import time
from collections.abc import Sequence

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.evaluator import Evaluator
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lvt_dense.checkpoints.model_files import read_model_file
from lvt_dense.compat.stack import allow_own_checkpoints, import_stack
from lvt_dense.engine.runner import check_fit
from lvt_dense.utils.errors import UserError

from .calibration import calibrate, draw_batches
from .model import Supernet
from .networks import state_of
from .space import Arch

WARMUP = 3  # calls before those that are timed


def build_supernet(cfg: Config) -> Supernet:
    """Build the supernet of a config, with random weights.

    Raises:
        UserError: The config has another model.
    """
    import_stack()
    init_default_scope(cfg.get('default_scope') or 'mmengine')
    model = MODELS.build(cfg.model)
    if not isinstance(model, Supernet):
        raise UserError(
            f'{cfg.filename}: the model is a {type(model).__name__}; give '
            'the config of a supernet'
        )
    return model.to(get_device()).eval()


def load_supernet(cfg: Config, checkpoint: str) -> Supernet:
    """Build the supernet of a config and fill it.

    Args:
        cfg: Config of a supernet.
        checkpoint: File written by its training.

    Raises:
        UserError: The config has another model, or the file does not fit.
    """
    allow_own_checkpoints()
    model = build_supernet(cfg)
    state = read_model_file(checkpoint).state
    check_fit(model, state, checkpoint)
    model.load_state_dict(state)
    return model


class SubnetEvaluator:
    """Metrics of sub-networks on the validation set.

    Args:
        supernet: The supernet.
        cfg: Its config.
        num_batches: Training batches for the batch statistics.
        num_images: Validation images, the first ones; by default all.
        seed: Of the order of the training batches.
    """

    def __init__(
        self,
        supernet: Supernet,
        cfg: Config,
        num_batches: int,
        num_images: int | None = None,
        seed: int = 0,
    ) -> None:
        self.supernet = supernet
        self.batches = draw_batches(cfg, num_batches, seed)
        loader = copy.deepcopy(cfg.val_dataloader)
        loader.update(num_workers=0, persistent_workers=False)
        loader.pop('prefetch_factor', None)
        if num_images is not None:
            loader['dataset']['indices'] = num_images
        self.loader = Runner.build_dataloader(loader, seed=seed)
        metrics = copy.deepcopy(cfg.val_evaluator)
        self.evaluator = Evaluator(
            [metrics] if isinstance(metrics, dict) else metrics
        )
        self.evaluator.dataset_meta = self.loader.dataset.metainfo

    def prepare(self, arch: Arch) -> nn.Module:
        """Build the plain model of a sub-network, ready to predict."""
        return calibrate(self.supernet.extract(arch), self.batches)

    @torch.no_grad()
    def evaluate(self, model: nn.Module) -> dict[str, float]:
        """Compute the metrics of a plain model."""
        for batch in self.loader:
            outputs = model.val_step(batch)
            self.evaluator.process(data_samples=outputs, data_batch=batch)
        found = self.evaluator.evaluate(len(self.loader.dataset))
        return {name: float(value) for name, value in found.items()}


def count_macs(supernet: Supernet, arch: Arch, size: Sequence[int]) -> int:
    """Count the multiply-accumulates of a sub-network's model.

    Convolutions, linear layers and the products of attention count, up to the
    maps of the heads. Nothing is computed.

    Args:
        supernet: The supernet.
        arch: The sub-network.
        size: Height and width of the image.
    """
    state = {
        name: tensor.detach().to('meta')
        for name, tensor in state_of(supernet.network).items()
    }
    shell = supernet.builder.shell(arch, state_of(supernet.network))
    channels = supernet.network.backbone.in_channels
    image = torch.zeros(1, channels, *size, device='meta')
    shell.model.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        shell.run(state, image, mode='tensor')
    shell.model.train()
    return counter.get_total_flops() // 2


class LatencyMeter:
    """Latency of models on this machine, up to the maps of their heads.

    Other load makes every call slower. Each model therefore takes turns with
    a reference, and its latency is the ratio of the two medians times that of
    the reference in the beginning.

    Args:
        reference: The model to compare with.
        size: Height and width of the image.
        threads: Threads on a CPU.
        rounds: Calls of each.
        in_channels: Channels of the image.
        seconds: Latency of the reference; by default it is measured.
    """

    def __init__(
        self,
        reference: nn.Module,
        size: Sequence[int],
        threads: int = 1,
        rounds: int = 15,
        in_channels: int = 3,
        seconds: float | None = None,
    ) -> None:
        self.reference = reference
        self.threads = threads
        self.rounds = rounds
        device = next(reference.parameters()).device
        self.image = torch.rand(1, in_channels, *size, device=device)
        if seconds is None:
            seconds = self.time([reference], 2 * rounds)[0]
        self.seconds = seconds

    def measure(self, model: nn.Module) -> float:
        """Measure the latency of a model in seconds."""
        one, other = self.time([model, self.reference], self.rounds)
        return one / other * self.seconds

    @torch.no_grad()
    def time(self, models: Sequence[nn.Module], rounds: int) -> list[float]:
        """Return the median seconds of a call of each model, in turn."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.threads)
        times: list[list[float]] = [[] for _ in models]
        for number in range(WARMUP + rounds):
            for model, taken in zip(models, times):
                start = time.perf_counter()
                model(self.image, mode='tensor')
                if self.image.is_cuda:
                    torch.cuda.synchronize()
                if number >= WARMUP:
                    taken.append(time.perf_counter() - start)
        torch.set_num_threads(before)
        return [statistics.median(taken) for taken in times]
