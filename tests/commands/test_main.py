"""The command line: help, start-up, and one line for what is not there."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import lvt_dense
from lvt_dense.commands.main import COMMANDS, Command, main
from lvt_dense.commands.parser import ConfigOptions, Parser

TOOLS = Path(__file__).parents[2] / 'tools'
HEAVY = ('torch', 'mmengine', 'mmcv', 'mmdet', 'numpy')


def run(*args: str) -> int:
    """Run the command; return its exit status."""
    with pytest.raises(SystemExit) as stop:
        main(args=args)
    return stop.value.code


def error_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line on stderr."""
    line = capsys.readouterr().err
    assert line.startswith('error: ')
    assert line.count('\n') == 1
    return line


@pytest.mark.parametrize('command', COMMANDS, ids=lambda c: c.name)
def test_help_has_an_example_that_parses(
    command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command.name, '--help') == 0
    text = capsys.readouterr().out
    module = import_module(f'lvt_dense.commands.{command.module}')
    example = module.__doc__.split('Example:\n')[1].replace('\\\n', ' ')
    assert example.strip().splitlines()[0].strip()[:40] in text
    parser = Parser()
    module.add_arguments(parser)
    for line in example.strip().splitlines():
        program, name, *words = line.split()
        assert (program, name) == ('lvt-dense', command.name)
        parser.parse_args(words)
    for action in parser._actions:
        assert action.help, f'{action.dest} of {command.name} lacks a help'


def test_overview_lists_every_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run('--help') == 0
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert re.search(f'^  {command.name} +{command.summary}', text, re.M)


def test_without_command_the_overview_is_an_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run() == 2
    assert 'commands:' in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert run('--version') == 0
    assert capsys.readouterr().out.strip() == lvt_dense.__version__


@pytest.mark.parametrize(
    ('args', 'words'),
    [
        (('trian',), 'there is no command trian; did you mean train?'),
        (('qqq',), 'choose from train, test'),
        (('--versoin',), 'did you mean --version?'),
        (('train', '--work-dri', 'x'), '--work-dri; did you mean --work-dir'),
        (('train', '--dataroot', 'x', 'c.py'), 'did you mean --data-root'),
        (('train',), 'give a config, or --data DIR to have one chosen'),
        (('train', 'c.py', 'd.py'), 'unrecognized arguments: d.py'),
        (('train', 'c.py', '--launcher', 'ssh'), "invalid choice: 'ssh'"),
        (('train', 'c.py', '--cfg-options', 'a'), 'a: expected KEY=VALUE'),
        (('make-demo-data', '--images', 'many'), "int value: 'many'"),
    ],
)
def test_bad_arguments_are_one_line_with_near_names(
    args: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*args) == 2
    assert words in error_of(capsys)


def test_values_that_look_like_options_are_left_alone() -> None:
    parser = Parser()
    parser.add_argument('words', nargs='+')
    assert parser.parse_args(['--', '--bold']).words == ['--bold']


def test_config_options_are_those_of_mmengine() -> None:
    parser = Parser()
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions)
    words = ['--cfg-options', 'a.b=1', 'c=[x,2.5]', 'd=(1,2)']
    expected = {'a.b': 1, 'c': ['x', 2.5], 'd': (1, 2)}
    assert parser.parse_args(words).cfg_options == expected


@pytest.mark.parametrize('args', [(), ('train',), ('make-demo-data',)])
def test_help_loads_nothing_heavy(args: tuple[str, ...]) -> None:
    code = (
        'import sys\n'
        'from lvt_dense.commands.main import main\n'
        'try:\n'
        f'    main(args={[*args, "--help"]})\n'
        'except SystemExit:\n'
        f'    print("heavy:", *({set(HEAVY)} & set(sys.modules)))'
    )
    done = subprocess.run(
        [sys.executable, '-c', code], capture_output=True, text=True
    )
    assert done.stdout.endswith('heavy:\n'), done.stdout + done.stderr


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, '-m', 'lvt_dense', '--version'],
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == lvt_dense.__version__


def test_missing_package_is_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, 'lvt_dense.apis.zoo', None)
    with pytest.raises(ModuleNotFoundError):
        main('zoo', [])  # ours: a fault of the package
    monkeypatch.setitem(sys.modules, 'mmengine.config', None)
    monkeypatch.delitem(sys.modules, 'lvt_dense.config', raising=False)
    assert run('train', 'x.py') == 2
    assert 'mmengine.config is missing' in error_of(capsys)


def test_every_script_is_a_command() -> None:
    names = {command.name for command in COMMANDS}
    for path in TOOLS.glob('*.py'):
        (name,) = re.findall(r"main\('(.+)'\)", path.read_text())
        assert name in names, path
        assert len(path.read_text().splitlines()) <= 6
