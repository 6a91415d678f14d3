"""Benchmarks: what is measured, and what is refused. No figure is held."""

import json
import time
from pathlib import Path

import pytest
from helpers.commands import run_command

from lvt_dense.apis import benchmark as module
from lvt_dense.apis.benchmark import (
    Measurement,
    benchmark,
    format_table,
    measure,
)
from lvt_dense.apis.benchmark_subjects import Subject
from lvt_dense.utils.errors import UserError


def test_statistics() -> None:
    found = Measurement('a', 'eager', [0.4, 0.1, 0.2, 0.3, 0.9])
    assert found.median == 0.3 and found.p90 == 0.9


def test_subjects_and_modes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, 'PAUSE', 0.0)
    out = tmp_path / 'speed.json'
    found = benchmark(
        ['mobilevit_xxs', 'emo_1m'],
        size=(64, 64),
        modes=('eager', 'folded', 'channels_last', 'fp16', 'bf16'),
        rounds=2,
        out=str(out),
    )
    assert len(found) == 10 and found[0].ratio == 1
    assert all(len(m.seconds) == 2 and m.median > 0 for m in found)
    content = json.loads(out.read_text())
    assert [row['mode'] for row in content['rows'][:2]] == ['eager', 'folded']
    assert out.with_suffix('.png').stat().st_size > 1000
    assert format_table(found, 1).count('| emo_1m |') == 5


def test_a_pause_and_another_clock() -> None:
    ticks = iter(range(10))
    subject = Subject('a', 'eager', lambda: None)
    start = time.perf_counter()
    found = measure([subject], 2, clock=lambda: float(next(ticks)), pause=0.01)
    assert time.perf_counter() - start >= 0.02
    assert found[0].seconds == [1.0, 1.0] and next(ticks) == 4


@pytest.mark.parametrize(
    ('args', 'text'),
    [
        (['mobilevit_xx'], 'did you mean mobilevit_xxs'),
        (['emo_1m', '--modes', 'fast'], 'choose from eager'),
        (['emo_1m', '--rounds', '0'], '1 or more'),
        (['emo_1m', '--size', '64'], 'give HxW'),
        (['none.onnx'], 'does not exist'),
    ],
)
def test_bad_arguments(
    args: list[str], text: str, capsys: pytest.CaptureFixture
) -> None:
    assert run_command('benchmark', *args) == 2
    assert text in capsys.readouterr().err


def test_unknown_timm_model() -> None:
    with pytest.raises(UserError, match='timm:none'):
        benchmark(['timm:none'], rounds=1)
