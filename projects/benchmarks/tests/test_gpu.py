"""The measurements of a GPU, with small sizes on a CPU."""

import json
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks import gpu
from benchmarks.gpu import HERE, ROWS, Row


def run(monkeypatch: pytest.MonkeyPatch, *args: str) -> None:
    """Run the command with arguments."""
    monkeypatch.setattr(sys, 'argv', ['gpu.py', *args])
    gpu.main()


def test_before_and_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each code is imported by a process; here both are this one."""
    codes: list[Path] = []

    def worker(
        row: Row, folder: Path, code: Path, device: str, seconds: float
    ) -> dict:
        codes.append(code)
        return gpu.work(row, folder, device, seconds)

    monkeypatch.setattr(gpu, 'run_worker', worker)
    monkeypatch.setattr(gpu, 'ROWS', ROWS[:1])
    small = ('--device', 'cpu', '--batch', '2', '--side', '64')
    run(monkeypatch, *small, '--seconds', '0', '--before', '/before')
    lines = capsys.readouterr().out.splitlines()
    (row,) = [line for line in lines if 'ssdlite' in line]
    cells = [cell.strip() for cell in row.strip('|').split('|')]
    assert cells[1:3] == ['2', 'bf16'] and cells[-1] == '1500'
    before, after = float(cells[3]), float(cells[6])
    assert before > 0 and after > 0
    assert float(cells[9]) > 0
    assert codes == [Path('/before').resolve(), HERE.parents[2]]
    assert any('mobilevit_xxs | eager' in line for line in lines)


@pytest.mark.parametrize(
    ('status', 'expected'),
    [(0, dict(speed=2.0, memory=1.0, waits=3)), (1, None)],
)
def test_a_worker_answers_or_its_cells_stay_empty(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    status: int,
    expected: dict | None,
) -> None:
    def answer(args: list[str], env: dict[str, str], **_: Any) -> Any:
        assert env['PYTHONPATH'] == '/before'
        order = json.loads((tmp_path / 'job.json').read_text())
        assert Row(*order['row']) == ROWS[0]
        out = f'some message\n{json.dumps(expected)}\n'
        return subprocess.CompletedProcess(args, status, out, 'a\nwrong')

    monkeypatch.setattr(subprocess, 'run', answer)
    found = gpu.run_worker(ROWS[0], tmp_path, Path('/before'), 'cpu', 0)
    assert found == expected
    assert capsys.readouterr().err == ('wrong\n' if status else '')
    line = gpu.format_row(ROWS[0], None, found)
    assert ('| 2.0 | 1.0 | 3 |  | 1500 |' in line) == (status == 0)


def test_waits_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    modes: list[Any] = []
    monkeypatch.setattr(torch.cuda, 'set_sync_debug_mode', modes.append)

    def step() -> None:
        for text in ('a synchronizing CUDA operation', 'something else'):
            warnings.warn(text, stacklevel=1)

    assert gpu.count_waits(step) == 1
    assert modes == ['warn', 'default']


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit, match='there is no GPU'):
        run(monkeypatch)
