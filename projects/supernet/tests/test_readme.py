"""Commands of the README: they parse, and their configs take the options."""

import re
import shlex
import sys
from argparse import Namespace
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest
from supernet import experiment, run

from lvt_dense.commands.parser import Parser
from lvt_dense.config import load_config

PROJECT = Path(__file__).parents[1]
ROOT = PROJECT.parents[1]
SCRIPTS = {
    'projects/supernet/run.py': run,
    'projects/supernet/experiment.py': experiment,
}


def read_commands() -> Iterator[list[str]]:
    text = (PROJECT / 'README.md').read_text()
    for block in re.findall(r'```bash\n(.*?)```', text, re.DOTALL):
        for line in block.splitlines():
            yield shlex.split(line)


COMMANDS = list(read_commands())


def parse(name: str, words: list[str]) -> Namespace:
    parser = Parser(prog=name)
    module = import_module(f'lvt_dense.commands.{name.replace("-", "_")}')
    module.add_arguments(parser)
    return parser.parse_args(words)


@pytest.mark.parametrize('words', COMMANDS, ids=' '.join)
def test_command(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    if words[0] == 'lvt-dense':
        args = parse(words[1], words[2:])
    elif words[1:2] and words[1] in SCRIPTS:
        monkeypatch.setattr(sys, 'argv', words[1:])
        args = SCRIPTS[words[1]].parse_args()
    elif words[0].startswith('tools/'):
        assert Path(words[0]).is_file()
        args = parse('train', words[1:2])
    else:
        assert words[0] == 'export' or words[:3] == ['python', '-m', 'pytest']
        return
    config = getattr(args, 'config', None)
    if config and config.startswith('projects'):
        cfg = load_config(config, args.cfg_options)
        assert cfg.model.type == 'Supernet'


def test_switches_name_what_they_switch() -> None:
    cfg = load_config(PROJECT / 'configs' / 'deeplabv3_camvid.py')
    step = cfg.train_dataloader.dataset.pipeline[4]
    assert step.type == 'RandomApply' and step.prob == 0
    assert 'PhotoMetricDistortion' in {t.type for t in step.transforms}
