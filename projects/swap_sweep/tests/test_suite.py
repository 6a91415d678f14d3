"""The suite of detectors: its list, and whom a fault is laid to."""

import pytest
from swap_sweep import suite, trial
from swap_sweep.sweep import shipped_configs
from swap_sweep.trial import MODES

from lvt_dense import swap_backbone
from lvt_dense.config import load_config

NAME = 'mmdet::ssd/ssd300_coco'


def test_forty_one_detectors_that_are_shipped() -> None:
    assert len(set(suite.DETECTORS)) == 41
    shipped = set(shipped_configs('mmdet'))
    assert {f'mmdet::{name}.py' for name in suite.DETECTORS} <= shipped


@pytest.mark.release
@pytest.mark.parametrize('name', [NAME, 'mmdet::pisa/ssd300_pisa_coco'])
def test_every_mode_of_a_swapped_detector_runs(name: str) -> None:
    cfg = swap_backbone(name, 'mobilevit_xxs')
    assert trial.try_modes(cfg) == dict.fromkeys(MODES, '')


@pytest.mark.release
def test_a_detector_that_trains_only_is_told() -> None:
    faults = trial.try_modes(load_config(NAME))  # with mmdet's own SSD head
    assert [mode for mode, fault in faults.items() if fault] == ['predict']
    assert 'loss_cls' in faults['predict']


@pytest.mark.parametrize(
    ('swapped', 'own', 'verdict'),
    [
        ({}, {}, 'works'),
        (dict(loss='a'), dict(loss='b'), 'as own'),
        (dict(loss='a', tensor='c'), dict(loss='b'), 'failed'),
        (dict(predict='a'), {}, 'failed'),
    ],
)
def test_verdicts(
    monkeypatch: pytest.MonkeyPatch, swapped: dict, own: dict, verdict: str
) -> None:
    found = iter([swapped, own])

    def give_faults(cfg: object) -> dict[str, str]:
        return {**dict.fromkeys(MODES, ''), **next(found)}

    monkeypatch.setattr(trial, 'try_modes', give_faults)
    row = suite.examine_modes(NAME, 'mobilevit_xxs', {})
    assert row['verdict'] == verdict
    assert row['old'] == 'SSDVGG'
    assert row['reason'] == '; '.join(f'{k}: {v}' for k, v in swapped.items())
