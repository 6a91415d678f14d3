"""An optimizer wrapper that resolves conflicts between gradients."""

from collections.abc import Iterable
from typing import Any

import torch
from mmengine.dist import all_reduce_params
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import Tensor

from lvt_dense.utils.errors import UserError

EPS = 1e-6
MAX_COEFFICIENT = 2.0


def merge_gradients(
    subnets: Tensor,
    supernet: Tensor,
    max_coefficient: float | None = MAX_COEFFICIENT,
) -> Tensor:
    """Add two gradients of a tensor; project the supernet's in a conflict.

    The gradients are in conflict when their inner product is negative. The
    part of the supernet's gradient that points against that of the
    sub-networks is taken out (paper, Section 3.3), up to a multiple of the
    latter (paper's code).

    Args:
        subnets: Gradient of the sub-networks.
        supernet: Gradient of the largest sub-network, the supernet.
        max_coefficient: The multiple; ``None`` for no limit.

    Returns:
        The gradient to step along.
    """
    inner = torch.sum(subnets * supernet)
    coefficient = -inner / (subnets.square().sum() + EPS)
    coefficient = coefficient.clamp(min=0, max=max_coefficient)
    return torch.addcmul(subnets + supernet, subnets, coefficient)


@OPTIM_WRAPPERS.register_module()
class ConflictAwareOptimWrapper(OptimWrapper):
    """Update parameters from the losses of a supernet and its sub-networks.

    The gradients of the sub-networks are summed and their norm is clipped,
    as in the paper's code. Tensor by tensor, the two gradients are then
    merged, see :func:`merge_gradients`. With several processes both are
    averaged over these first.

    A parameter that only the supernet uses has a gradient of zero from the
    sub-networks. Where ``zero_grad`` leaves ``None`` instead, as it does since
    PyTorch 2, code that adds the gradients counts the supernet's twice.

    Args:
        projection: Whether to project; False only adds.
        begin: Iteration from which to project. The paper's code begins after
            100 of 360 epochs.
        max_coefficient: See :func:`merge_gradients`.
        clip_subnets: Largest norm of the sub-networks' gradient; ``None`` for
            no limit.
        **kwargs: As for MMEngine's ``OptimWrapper``; ``clip_grad`` acts on the
            merged gradient.

    Attributes:
        inner: Inner product of the two gradients of every parameter in the
            last update, ``(parameters,)``; NaN where one of them is zero.
            Only with :attr:`is_watched`.
        is_watched: Whether to keep these.
    """

    def __init__(
        self,
        *args: Any,
        projection: bool = True,
        begin: int = 0,
        max_coefficient: float | None = MAX_COEFFICIENT,
        clip_subnets: float | None = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        for name, value in (
            ('max_coefficient', max_coefficient),
            ('clip_subnets', clip_subnets),
        ):
            if value is not None and value <= 0:
                raise UserError(
                    f'optim_wrapper.{name}={value!r}: give a positive number, '
                    'or None for no limit'
                )
        self.projection = projection
        self.begin = begin
        self.max_coefficient = max_coefficient
        self.clip_subnets = clip_subnets
        self.is_watched = False
        self.inner: Tensor | None = None
        self._banks: tuple[list[Tensor], list[Tensor]] | None = None

    @property
    def parameters(self) -> list[Tensor]:
        """Parameters that are trained, in the optimizer's order."""
        return [
            parameter
            for group in self.param_groups
            for parameter in group['params']
            if parameter.requires_grad
        ]

    def update_params(  # type: ignore[override]
        self,
        loss: Tensor,
        subnet_losses: Iterable[Tensor] = (),
        step_kwargs: dict | None = None,
        zero_kwargs: dict | None = None,
    ) -> None:
        """Back-propagate all losses and step.

        Args:
            loss: Of the supernet.
            subnet_losses: Of the sub-networks, taken one by one, so that a
                generator has to keep one graph at a time.
            step_kwargs: Arguments of the optimizer's step.
            zero_kwargs: Arguments of its ``zero_grad``; without effect, as
                the gradients are zero in any case.
        """
        supernet, subnets = self._gradient_banks()
        self._accumulate(loss, supernet)
        for subnet_loss in subnet_losses:
            self._accumulate(subnet_loss, subnets)
        self._inner_count += 1
        if self.should_update():
            self._merge(supernet, subnets)
            self.step(**(step_kwargs or {}))
            self._banks = None
        self.zero_grad()

    def _gradient_banks(self) -> tuple[list[Tensor], list[Tensor]]:
        if self._banks is None:
            zeros = torch.zeros_like
            format_ = torch.preserve_format
            self._banks = (
                [zeros(p, memory_format=format_) for p in self.parameters],
                [zeros(p, memory_format=format_) for p in self.parameters],
            )
        return self._banks

    def _accumulate(self, loss: Tensor, bank: list[Tensor]) -> None:
        for parameter, gradient in zip(self.parameters, bank):
            parameter.grad = gradient
        self.scale_loss(loss).backward()

    def _merge(self, supernet: list[Tensor], subnets: list[Tensor]) -> None:
        """Put the merged gradients where the optimizer takes them from."""
        for bank in (supernet, subnets):
            all_reduce_params(bank, op='mean')
        if self.clip_subnets is not None:
            norms = torch.stack([g.norm() for g in subnets])
            norm = norms.norm()
            factor = (self.clip_subnets / (norm + EPS)).clamp(max=1)
            torch._foreach_mul_(subnets, factor)
            self.message_hub.update_scalar('train/subnet_norm', float(norm))
        if self.is_watched:
            self.inner = _inner_products(subnets, supernet)
        begin = self.begin * self._accumulative_counts
        is_projected = self.projection and self._inner_count > begin
        for parameter, one, other in zip(self.parameters, subnets, supernet):
            parameter.grad = (
                merge_gradients(one, other, self.max_coefficient)
                if is_projected
                else one + other
            )


def _inner_products(ones: list[Tensor], others: list[Tensor]) -> Tensor:
    products = torch.stack([torch.sum(a * b) for a, b in zip(ones, others)])
    is_used = torch.stack(
        [a.any() & b.any() for a, b in zip(ones, others)]
    ).to(products.device)
    return products.masked_fill(~is_used, torch.nan).cpu()
