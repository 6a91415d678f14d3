"""The supernet as a model of MMEngine."""

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.config import ConfigDict
from mmengine.logging import MessageHub
from mmengine.model import BaseModel, MMDistributedDataParallel
from mmengine.optim import OptimWrapper
from mmengine.registry import MODEL_WRAPPERS, MODELS
from torch import Tensor, nn

from lvt_dense.models.backbones.nasvit import MBConv
from lvt_dense.models.backbones.nasvit_attention import TransformerBlock
from lvt_dense.utils.errors import UserError

from .distill import detach, measure_distance, taken_outputs
from .divergence import CLIP
from .networks import SubnetBuilder, check_backbone, copy_state, state_of
from .optim_wrapper import ConflictAwareOptimWrapper
from .slicing import BACKBONE, SCALES, locate
from .space import Arch, SearchSpace


@MODELS.register_module()
class Supernet(BaseModel):
    """Train all sub-networks of a detector or segmenter at once.

    The weights are those of the model with the largest sub-network as its
    backbone; every other sub-network is that model with a smaller backbone,
    and its tensors are slices of them, those of neck and heads included.

    A training step is the *sandwich rule*: the largest sub-network learns from
    the annotations; the smallest and some random ones learn from its outputs
    (*in-place distillation*). The random ones follow from ``seed`` and the
    iteration, so all processes train the same, and a resumed run goes on with
    the same sequence.

    *Switchable scaling*: the scales of the residual branches in the
    transformer blocks have a row for each depth that their stage may have.
    The published table has a second index, the number of tokens modulo 8. It
    stands for the four training resolutions of the paper, and would be
    arbitrary on the maps of detection and segmentation: here there is none.

    Args:
        module: Config of the model, with the channels of the largest
            sub-network. Its ``backbone`` is ``lvt_dense.NASViT``, whatever
            ``arch`` it names. (Commands look for the backbone under this
            name.)
        space: Arguments of :class:`~.space.SearchSpace`; by default the
            published space.
        num_random: Random sub-networks of a step.
        switchable_scaling: Whether depths have scales of their own.
        seed: Of the random sub-networks.
        clip: See :func:`.divergence.alpha_divergence`.

    Attributes:
        active: Model that predicts, see :meth:`predict_with`.
    """

    def __init__(
        self,
        module: dict[str, Any],
        space: Mapping[str, Any] | None = None,
        num_random: int = 2,
        switchable_scaling: bool = True,
        seed: int = 0,
        clip: float = CLIP,
    ) -> None:
        check_backbone(module)
        if num_random < 0:
            raise UserError(
                f'supernet: num_random={num_random}: must be at least 0'
            )
        search_space = SearchSpace(**_tuples(space or {}))
        stages = _num_stages(module['backbone'], search_space)
        search_space = SearchSpace(
            **_tuples(dict(space or {}, num_stages=stages))
        )
        builder = SubnetBuilder(module, search_space)
        module = ConfigDict(copy.deepcopy(module))
        module['backbone']['arch'] = search_space.largest
        network = MODELS.build(module)
        super().__init__(data_preprocessor=network.data_preprocessor)
        self.space = search_space
        self.builder = builder
        self.network = network
        self.num_random = num_random
        self.switchable_scaling = switchable_scaling
        self.seed = seed
        self.clip = clip
        self._active: list[nn.Module] = []  # no part of the state
        self._steps = 0
        self._add_shortcuts()
        self._make_tables()

    # ------------------------------------------------------------- weights
    def _scaled_blocks(self) -> Iterator[tuple[nn.Module, int]]:
        """Transformer blocks, and the stage mbK that each belongs to."""
        largest = self.space.largest
        for name, block in self.network.backbone.named_modules():
            if isinstance(block, TransformerBlock):
                _, part = locate(f'{BACKBONE}{name}', largest, self.space)
                yield block, part

    def _add_shortcuts(self) -> None:
        """Add projections that the largest sub-network does not need.

        The shortcut of a stage's first block projects only where its channels
        change.
        """
        largest, seen = self.space.largest, set()
        for name, block in self.network.backbone.named_modules():
            if not isinstance(block, MBConv):
                continue
            _, part = locate(f'{BACKBONE}{name}', largest, self.space)
            before, after = self.space.width[part - 1 : part + 1]
            may_change = part not in seen and len({*before, *after}) > 1
            seen.add(part)
            if may_change and isinstance(block.shortcut, nn.Identity):
                block.shortcut = nn.Conv2d(
                    before[-1], after[-1], 1, bias=False
                )

    def _make_tables(self) -> None:
        for block, part in self._scaled_blocks():
            rows = len(self.space.depth[part - 1])
            for name in SCALES:
                row = getattr(block, name).detach()
                table = row.repeat(rows if self.switchable_scaling else 1, 1)
                setattr(block, name, nn.Parameter(table))

    @contextmanager
    def _single_rows(self) -> Iterator[None]:
        """Let the backbone have plain scales; the tables get them."""
        tables = [
            (block, name, getattr(block, name))
            for block, _ in self._scaled_blocks()
            for name in SCALES
        ]
        for block, name, table in tables:
            setattr(block, name, nn.Parameter(table[-1].detach().clone()))
        yield
        for block, name, table in tables:
            table.data.copy_(getattr(block, name).detach())
            setattr(block, name, table)

    def init_weights(self) -> None:
        """Initialize as the module's config says.

        From official weights every row of a scaling table starts as that of
        the largest depth.
        """
        with self._single_rows():
            super().init_weights()

    # ---------------------------------------------------------- sub-networks
    def extract(self, arch: Arch) -> nn.Module:
        """Build the plain model of a sub-network, with copies of its weights.

        Its batch statistics are those of all sub-networks mixed: recalibrate
        them, see :func:`.calibration.calibrate`.

        Args:
            arch: A sub-network of :attr:`space`.
        """
        model = self.builder.build(arch)
        state = state_of(self.network)
        slices = self.builder.plan(arch, model.state_dict(), state)
        model.load_state_dict(copy_state(state, slices))
        return model.to(next(self.parameters()).device).eval()

    @property
    def active(self) -> nn.Module:
        """Model that predicts.

        Raises:
            UserError: No sub-network was chosen.
        """
        if not self._active:
            raise UserError(
                'a supernet does not predict by itself: extract a '
                'sub-network (projects/supernet/run.py extract), or set '
                "val_cfg and test_cfg to dict(type='SubnetValLoop') and "
                "dict(type='SubnetTestLoop')"
            )
        return self._active[0]

    def predict_with(self, model: nn.Module | None) -> None:
        """Choose the model that predicts; it becomes no part of this one."""
        self._active = [] if model is None else [model]

    # ---------------------------------------------------------------- running
    def forward(
        self, inputs: Tensor, data_samples: Any = None, mode: str = 'tensor'
    ) -> Any:
        """Run the largest sub-network for losses, else the active one.

        Args:
            inputs: Images, (N, C, H, W).
            data_samples: Their data samples.
            mode: ``loss``, ``predict`` or ``tensor``.
        """
        if mode != 'loss':
            return self.active(inputs, data_samples, mode=mode)
        state = state_of(self.network)
        shell = self.builder.shell(self.space.largest, state)
        return shell.run(state, inputs, data_samples, mode=mode)

    def train_step(
        self, data: Any, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """Train the sub-networks of a step.

        Args:
            data: Batch of the data loader.
            optim_wrapper: A :class:`.optim_wrapper.ConflictAwareOptimWrapper`.

        Returns:
            Losses of the supernet, and the mean distance of the sub-networks
            from it.

        Raises:
            UserError: The wrapper is of another kind.
        """
        if not isinstance(optim_wrapper, ConflictAwareOptimWrapper):
            raise UserError(
                'a supernet needs optim_wrapper=dict('
                "type='ConflictAwareOptimWrapper', ...)"
            )
        data = self.data_preprocessor(data, True)
        inputs, samples = data['inputs'], data['data_samples']
        largest, *others = self.space.sandwich(self._key(), self.num_random)
        state = state_of(self.network)
        shell = self.builder.shell(largest, state)
        with taken_outputs(shell.model, with_losses=True) as outputs:
            losses = shell.run(state, inputs, samples, mode='loss')
        loss, logs = self.parse_losses(losses)
        teacher = detach(outputs)
        values: list[Tensor] = []

        def subnet_losses() -> Iterator[Tensor]:
            for arch in others:
                shell = self.builder.shell(arch, state)
                with taken_outputs(shell.model, with_losses=False) as outputs:
                    shell.run(state, inputs, samples, mode='loss')
                distance = measure_distance(
                    shell.model, outputs, teacher, samples, self.clip
                )
                values.append(distance.value)
                yield distance.loss

        optim_wrapper.update_params(loss, subnet_losses())
        if values:
            logs['distance'] = torch.stack(values).mean()
        return logs

    def _key(self) -> str:
        """Text that the random sub-networks of this step follow from."""
        hub = MessageHub.get_current_instance()
        iteration = hub.runtime_info.get('iter', self._steps)
        self._steps += 1
        return f'{self.seed}-{iteration}'


@MODEL_WRAPPERS.register_module()
class DistributedSupernet(MMDistributedDataParallel):
    """A supernet in several processes.

    The gradients of supernet and sub-networks are averaged apart from each
    other, by the optimizer wrapper: this one only makes the processes start
    from the same weights.
    """

    def train_step(
        self, data: Any, optim_wrapper: OptimWrapper
    ) -> dict[str, Tensor]:
        """Train the sub-networks of a step."""
        return self.module.train_step(data, optim_wrapper)


def _num_stages(backbone: dict[str, Any], space: SearchSpace) -> int:
    settings = dict(backbone, arch=space.largest, init_cfg=None)
    kind = settings.pop('type')
    with torch.device('meta'):
        model = MODELS.build(dict(settings, type=kind))
    return model.num_stages


def _tuples(space: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: value
        if isinstance(value, int)
        else tuple(tuple(choices) for choices in value)
        for key, value in space.items()
    }
