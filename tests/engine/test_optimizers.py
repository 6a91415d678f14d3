"""Weight decay by role, where MMEngine forgets it."""

import pytest
from mmengine.optim import build_optim_wrapper
from torch import nn

from lvt_dense.engine.optimizers import merge_groups
from lvt_dense.models.backbones.nasvit_attention import JointNorm
from lvt_dense.models.backbones.plg_vit import GlobalResponseNorm


class Model(nn.Module):
    """A backbone and a head, with every kind of parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), JointNorm(4)
        )
        self.head = nn.Sequential(nn.Linear(4, 2), GlobalResponseNorm(2))


def groups(constructor: str, **settings: object) -> dict[str, dict]:
    """Parameter groups by name."""
    model = Model()
    wrapper = build_optim_wrapper(
        model,
        dict(
            constructor=constructor,
            optimizer=dict(type='SGD', lr=1.0, weight_decay=0.1),
            paramwise_cfg=settings,
        ),
    )
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        names[id(parameter)]: group
        for group in wrapper.optimizer.param_groups
        for parameter in group['params']
    }


OURS = 'lvt_dense.RoleOptimWrapperConstructor'
SLOW = dict(
    norm_decay_mult=0.0,
    bias_decay_mult=0.0,
    custom_keys=dict(backbone=dict(lr_mult=0.1)),
)


def test_slow_backbone_keeps_its_roles() -> None:
    found = groups(OURS, **SLOW)
    decays = {n for n, g in found.items() if g['weight_decay']}
    assert decays == {'backbone.0.weight', 'head.0.weight'}
    for name, group in found.items():
        assert group['lr'] == (0.1 if name.startswith('backbone') else 1.0)


def test_mmengines_constructor_lets_them_decay() -> None:
    found = groups('DefaultOptimWrapperConstructor', **SLOW)
    assert found['backbone.1.weight']['weight_decay'] == 0.1


def test_decay_of_an_entry_overrules_the_role() -> None:
    keys = {'backbone.1': dict(decay_mult=0.5)}
    found = groups(OURS, norm_decay_mult=0.0, custom_keys=keys)
    assert found['backbone.1.weight']['weight_decay'] == 0.05
    assert found['backbone.2.weight']['weight_decay'] == 0.0
    assert found['head.1.bias']['weight_decay'] == 0.0
    assert found['head.0.bias']['weight_decay'] == 0.1


@pytest.mark.parametrize('settings', [{}, dict(norm_decay_mult=None)])
def test_everything_decays_without_rules(settings: dict) -> None:
    found = groups(OURS, bias_lr_mult=2.0, **settings)
    assert {g['weight_decay'] for g in found.values()} == {0.1}
    assert found['head.0.bias']['lr'] == 2.0


def test_equal_settings_share_a_group() -> None:
    found = groups(OURS, **SLOW)
    assert len(found) == len(list(Model().parameters()))
    # Rates of backbone and head, each with and without decay.
    assert len({id(group) for group in found.values()}) == 4
    assert found['backbone.0.weight'] is not found['head.0.weight']
    assert found['head.0.bias'] is found['head.1.bias']


def test_merged_groups_keep_their_order() -> None:
    merged = merge_groups(
        (
            dict(params=['a'], lr=2.0),
            dict(params=['b'], lr_mult=1.0),
            dict(params=['c'], lr=2.0, decay_mult=3.0),
        ),
        lr=1.0,
    )
    assert merged == [
        dict(params=['a', 'c'], lr=2.0),
        dict(params=['b'], lr=1.0),
    ]
