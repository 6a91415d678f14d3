"""The sweep over timm's networks: order, verdicts, and the table."""

import pytest
from helpers.optional import is_importable

if not is_importable('timm'):
    pytest.skip('timm cannot be imported', allow_module_level=True)
from timm_sweep import sweep


def test_rows_and_table(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(config: str, name: str) -> None:
        raise FloatingPointError('the losses are nan')

    monkeypatch.setattr(sweep, 'CONFIGS', {'Head': 'head.py'})
    monkeypatch.setattr(sweep, 'train', fail)
    rows = [
        sweep.examine('lcnet_050', True, False),
        sweep.examine('crossvit_tiny_240', True, False),
    ]
    assert rows[0]['trials'] == {
        '480x640': 'works',
        '500x333': 'works',
        'Head': 'FloatingPointError: the losses are nan',
    }
    table = sweep.format_table(rows)
    assert '| pyramid | 1 | 1 of 1 | 1 of 1 | 0 of 1 |' in table
    assert '| crossvit_tiny_240 | timm:crossvit_tiny_240 returns' in table


def test_a_level_of_another_size_is_a_fault() -> None:
    network = sweep.find_network('lcnet_050', {}, 32)
    sweep.run(network, (100, 60))
    wrong = dict(network.strides)
    wrong[3] = 16
    object.__setattr__(network, 'strides', wrong)
    try:
        with pytest.raises(ValueError, match='is not'):
            sweep.run(network, (100, 60))
    finally:
        wrong[3] = 32
