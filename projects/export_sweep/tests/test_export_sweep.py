"""Verdicts of the sweep, its weights and its counts."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from export_sweep import trial
from export_sweep.tensorrt import list_lacking, main
from onnx import helper, numpy_helper
from torch import nn

from lvt_dense.compat.stack import import_stack
from lvt_dense.config import load_config
from lvt_dense.utils.errors import UserError

DEMO = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'


def make_model(kinds: list[tuple[str, dict]], k: int = 5) -> onnx.ModelProto:
    """Make a model of operators that is good for nothing else."""
    nodes = [
        helper.make_node(kind, ['x', 'k'], ['y'], **options)
        for kind, options in kinds
    ]
    count = numpy_helper.from_array(np.array([k]), 'k')
    return helper.make_model(helper.make_graph(nodes, 'a', [], [], [count]))


def test_what_is_no_model_lacks_no_operator(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    path = tmp_path / 'a.onnx'
    monkeypatch.setattr(sys, 'argv', ['tensorrt.py', str(path)])
    for content in (None, b'x\n', b'no model at all'):
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code
        assert 'ONNX model' in capsys.readouterr().err


def test_what_tensorrt_lacks() -> None:
    inner = make_model([('Bernoulli', {}), ('Conv', {})]).graph
    model = make_model(
        [
            ('Relu', {}),
            ('Unique', {}),
            ('Own', dict(domain='mine')),
            ('If', dict(then_branch=inner)),
            ('TopK', {}),
            ('TopK', dict(sorted=0)),
            ('ScatterND', dict(reduction='add')),
            ('ScatterND', {}),
        ],
        k=3840,
    )
    assert list_lacking(model) == [
        'Bernoulli',
        'ScatterND (with reduction)',
        'TopK (K=3840)',
        'TopK (not sorted)',
        'Unique',
        'mine.Own',
    ]
    assert list_lacking(make_model([('TopK', {}), ('Relu', {})])) == []


class Exporter:
    """Stand in for the export: raise what is listed, call by call."""

    def __init__(self, *outcomes: Exception | dict | None) -> None:
        self.outcomes = list(outcomes)
        self.raw: list[bool] = []

    def __call__(
        self, cfg: object, path: str, out: str, raw: bool, **rest: object
    ) -> dict:
        self.raw.append(raw)
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        onnx.save(make_model([('Relu', {}), ('Unique', {})]), out)
        return dict(boxes=1.26e-6) if outcome is None else outcome


REFUSED = UserError('X predicts in a way that has no exported graph')
DIFFERS = UserError('boxes by 1, allowed is 0.0001; nothing was written')
CRASH = RuntimeError('a crash\nmore of it')
MISSING = RuntimeError('x is not installed, please install it')


@pytest.mark.parametrize(
    ('outcomes', 'verdict', 'raw'),
    [
        ([None], 'whole', [False]),
        ([REFUSED, None], 'raw', [False, True]),
        ([REFUSED, REFUSED], 'refused', [False, True]),
        ([DIFFERS, DIFFERS], 'differs', [False, False]),
        ([CRASH, None], 'whole', [False, False]),
        ([CRASH, CRASH], 'failed', [False, False]),
        ([MISSING], 'missing', [False]),
        ([ImportError('No module named x')], 'missing', [False]),
    ],
)
def test_verdicts(
    outcomes: list,
    verdict: str,
    raw: list[bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    exporter = Exporter(*outcomes)
    monkeypatch.setattr(trial, 'export', exporter)
    monkeypatch.setattr(trial, 'make_checkpoint', lambda *args: 'x.pth')
    row = trial.examine_export(DEMO, '', {})
    if verdict in ('whole', 'raw'):
        assert row['tensorrt_lacks'] == ['Unique']
    assert row['verdict'] == verdict and exporter.raw == raw
    assert row['old'] == 'lvt_dense.MobileViT'
    assert row['gaps'] == (dict(boxes=1.3e-6) if None in outcomes else {})
    if verdict == 'failed':
        assert row['reason'] == 'RuntimeError: a crash'
    if verdict == 'raw':
        assert row['reason'] == str(REFUSED)
    again = trial.examine_export(DEMO, '', {row['before']: row})
    assert again['verdict'] == verdict and again['same_as'] == DEMO


def test_finding_nothing_proves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = dict(boxes=0.0, scores=0.0, unmatched=0.0, detections=0.0)
    monkeypatch.setattr(trial, 'export', Exporter(nothing, nothing))
    monkeypatch.setattr(trial, 'make_checkpoint', lambda *args: 'x.pth')
    row = trial.examine_export(DEMO, '', {})
    assert row['verdict'] == 'failed' and 'nothing' in row['reason']


def test_one_class_proves_little(monkeypatch: pytest.MonkeyPatch) -> None:
    same = dict(labels=0.0, classes=1.0)
    monkeypatch.setattr(trial, 'export', Exporter(same, same))
    monkeypatch.setattr(trial, 'make_checkpoint', lambda *args: 'x.pth')
    row = trial.examine_export(DEMO, '', {})
    assert row['verdict'] == 'failed' and 'one class' in row['reason']


@pytest.mark.parametrize(
    ('refused', 'verdict'), [(False, 'converted'), (True, 'converted raw')]
)
def test_a_format_that_does_not_run_here(
    refused: bool, verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def convert(*args: object, raw: bool, kind: str, **rest: object) -> dict:
        assert kind == 'coreml' and str(args[2]).endswith('.mlpackage')
        if refused and not raw:
            raise REFUSED
        return {}

    monkeypatch.setattr(trial, 'export', convert)
    monkeypatch.setattr(trial, 'make_checkpoint', lambda *args: 'x.pth')
    row = trial.examine_export(DEMO, '', {}, 'coreml')
    assert row['verdict'] == verdict
    assert '(1 of 1) whole, converted' in trial.summarize(
        [dict(row, verdict='converted')]
    )


def test_classes_are_balanced() -> None:
    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.decode_head = nn.Module()
            self.decode_head.conv_seg = nn.Conv2d(3, 5, 1)
            nn.init.normal_(self.decode_head.conv_seg.bias, std=5.0)

        def forward(self, x: torch.Tensor, mode: str) -> torch.Tensor:
            assert mode == 'tensor'
            return self.decode_head.conv_seg(x)

    torch.manual_seed(0)
    model = Segmenter()
    image = torch.randn(1, 3, 64, 96)
    assert len(model(image, 'tensor').argmax(1).unique()) < 5
    trial.balance_classes(model, (64, 96))
    assert len(model(image, 'tensor').argmax(1).unique()) == 5


def test_no_pyramid_to_replace() -> None:
    import_stack()
    name = 'mmseg::vit/vit_deit-b16_upernet_8xb2-80k_ade20k-512x512.py'
    row = trial.examine_export(name, 'emo_1m', {})
    assert row['verdict'] == 'apart' and row['reason']


def test_checkpoint_fits_and_differs_by_cell(tmp_path: Path) -> None:
    cfg = load_config(DEMO)
    path = trial.make_checkpoint(cfg, (96, 128), tmp_path)
    state = torch.load(path, weights_only=False)['state_dict']
    assert all(torch.isfinite(v).all() for v in state.values())


def test_heads_are_spread() -> None:
    head = nn.Conv2d(64, 8, 1)
    nn.init.normal_(head.weight, std=0.001)
    nn.init.constant_(head.bias, -4.6)
    trial.spread(head)
    assert 0.09 < float(head.weight.detach().std()) < 0.16
    assert float(head.bias.detach().min()) == -2.0
    distances = nn.Conv2d(64, 4, 1)
    nn.init.zeros_(distances.bias)
    trial.spread(distances)
    assert float(distances.bias.detach().min()) == 1.0


def test_summary_counts_shares() -> None:
    verdicts = ['whole', 'whole', 'raw', 'refused', 'apart']
    text = trial.summarize([dict(verdict=v) for v in verdicts])
    assert '50.0 % (2 of 4) whole, converted\n' in text
    assert text.endswith(
        '75.0 % (3 of 4) whole, converted, raw, converted raw'
    )
