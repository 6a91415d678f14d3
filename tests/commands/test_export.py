"""What ``lvt-dense export`` says of the differences from PyTorch."""

from pathlib import Path

import pytest
from helpers.commands import run_command

from lvt_dense.apis import export as module

CONFIG = (
    Path(__file__).parents[2] / 'configs/ssdlite_mobilevit_xxs_192_demo.py'
)


@pytest.mark.parametrize(
    ('differences', 'said'),
    [
        (
            {},
            'not compared with PyTorch, because this machine cannot run '
            'its format\n',
        ),
        (dict(maps=2e-6), 'from PyTorch: maps 2e-06\n'),
        (
            dict(boxes=1e-6, scores=0.0, detections=7.0),
            'from PyTorch: boxes 1e-06, scores 0 (of 7 detections)\n',
        ),
        (dict(labels=0.01, classes=5.0), 'labels 0.01 (of 5 classes)\n'),
        (
            dict(boxes=0.0, detections=0.0),
            '(of 0 detections)\nNo object was found in the images',
        ),
    ],
)
def test_differences_are_printed(
    differences: dict[str, float],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(module, 'export', lambda *args, **rest: differences)
    args = (CONFIG, 'weights.pth', '--out', 'model.onnx')
    assert run_command('export', *args) == 0
    out = capsys.readouterr().out
    assert out.startswith('model.onnx: ') and said in out
