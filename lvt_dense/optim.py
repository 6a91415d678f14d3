"""Parameter groups of the optimizer."""

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn
from torch.nn import GroupNorm, LayerNorm
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from lvt_dense.registry import OPTIM_WRAPPER_CONSTRUCTORS

NORMS = (_BatchNorm, _InstanceNorm, GroupNorm, LayerNorm)


def is_norm(module: nn.Module) -> bool:
    """Whether the parameters of a module itself are those of a norm.

    Norms that PyTorch does not have say so by an attribute ``is_norm``.
    """
    return isinstance(module, NORMS) or getattr(module, 'is_norm', False)


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class RoleOptimWrapperConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's constructor, in which rules by role hold everywhere.

    ``norm_decay_mult`` and ``bias_decay_mult`` say what a role, norm or bias,
    decays. MMEngine applies them to parameters that no entry of
    ``custom_keys`` matches: an entry that slows the backbone down, for
    instance, lets all its norms decay. Here an entry changes what it names,
    so that only one with a ``decay_mult`` of its own overrules the roles.
    The roles also reach norms that PyTorch does not have.
    """

    def add_params(
        self, params: list[dict], module: nn.Module, **kwargs: Any
    ) -> None:
        """Add the parameters of a module, see the parent class.

        Args:
            params: Groups so far, one a parameter; extended in place.
            module: Module whose parameters are added, with those of its
                children.
            **kwargs: ``prefix`` and other arguments of the recursion.
        """
        super().add_params(params, module, **kwargs)
        if kwargs.get('prefix'):
            return  # a part; the whole model is looked at once
        by_parameter = {id(group['params'][0]): group for group in params}
        for part in module.modules():
            for name, parameter in part.named_parameters(recurse=False):
                group = by_parameter.get(id(parameter))
                if group is not None and 'decay_mult' not in group:
                    self._set_decay(group, part, name)

    def _set_decay(self, group: dict, module: nn.Module, name: str) -> None:
        if is_norm(module):
            mult = self.paramwise_cfg.get('norm_decay_mult')
        elif name == 'bias':
            mult = self.paramwise_cfg.get('bias_decay_mult')
        else:
            mult = None
        if mult is not None and self.base_wd is not None:
            group['weight_decay'] = self.base_wd * mult
