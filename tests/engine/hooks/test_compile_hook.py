"""Compiled training: what is compiled, and what happens where it fails."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lvt_dense.engine.hooks import CompileHook
from lvt_dense.engine.hooks import compile_hook as module
from lvt_dense.engine.hooks.compile_hook import CompiledForward


def test_compiles_and_computes_the_same() -> None:
    layer = nn.Linear(4, 4)
    x = torch.randn(2, 4)
    expected = layer(x)
    compiled = CompiledForward(layer, 'backbone', backend='eager')
    assert torch.equal(compiled(x), expected)
    assert compiled.compiled is not None


def test_falls_back_with_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []
    monkeypatch.setattr(
        module, 'print_log', lambda text, *_: lines.append(text)
    )

    def backend(graph: Any, inputs: Any) -> Any:
        raise RuntimeError('there is no compiler\nnor anything else')

    layer = nn.Linear(4, 4)
    x = torch.randn(2, 4)
    compiled = CompiledForward(layer, 'backbone', backend=backend)
    for _ in range(2):
        assert torch.equal(compiled(x), layer(x))
    (line,) = lines
    assert line.startswith('--compile: the backbone is not compiled')
    assert 'there is no compiler' in line and '\n' not in line


def test_hook_leaves_evaluation_and_the_model_as_they_were(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[str] = []

    def compile_(function: Any, **_: Any) -> Any:
        def run(x: Tensor) -> Tensor:
            calls.append('compiled')
            return function(x)

        return run

    monkeypatch.setattr(torch, 'compile', compile_)
    model = nn.Module()
    model.backbone, model.head = nn.Linear(2, 2), nn.Linear(2, 2)
    hook, runner = CompileHook(), SimpleNamespace(model=model)
    hook.before_train(runner)
    model.backbone(torch.zeros(1, 2))
    assert calls == ['compiled']
    model.head(torch.zeros(1, 2))
    model.eval().backbone(torch.zeros(1, 2))
    assert calls == ['compiled']
    assert set(model.state_dict()) == {
        'backbone.weight', 'backbone.bias', 'head.weight', 'head.bias'
    }  # fmt: skip
    hook.after_train(runner)
    assert 'forward' not in vars(model.backbone)
