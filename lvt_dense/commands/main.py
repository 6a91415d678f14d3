"""The command ``lvt-dense``: find the subcommand, parse, run."""

import json
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

from lvt_dense.commands.output import (
    add_output,
    describe_parser,
    run_as_json,
    run_plainly,
)
from lvt_dense.commands.parser import Parser, command
from lvt_dense.utils.text import suggest_or_list


class Command(NamedTuple):
    """A subcommand: its name, what it does, and its module."""

    name: str
    summary: str
    module: str


COMMANDS = (
    Command('train', 'train a model', 'train'),
    Command('test', 'evaluate a checkpoint', 'test'),
    Command('report', 'report on a run, or compare runs', 'report'),
    Command('visualize', 'draw predictions on images', 'visualize'),
    Command('explain', 'draw what a network looks at', 'explain'),
    Command('browse', 'draw what a training is fed', 'browse'),
    Command('swap', 'swap a backbone into an existing config', 'swap'),
    Command('recipes', 'list the recipes of the package', 'recipes'),
    Command('weights', 'list and download published weights', 'weights'),
    Command('convert', 'convert an official checkpoint', 'convert'),
    Command('kitti-eval', 'score a folder of KITTI results', 'kitti_eval'),
    Command('make-demo-data', 'render a small data set', 'make_demo_data'),
    Command('learning-curve', 'plot a training log', 'learning_curve'),
    Command('export', 'export a model to ONNX or OpenVINO', 'export'),
    Command('predict', 'predict on images and videos', 'predict'),
    Command('serve', 'serve a page that predicts in the browser', 'serve'),
    Command('benchmark', 'measure latency and memory', 'benchmark'),
    Command('complexity', 'count parameters and operations', 'complexity'),
    Command('zoo', 'list the backbones with size and cost', 'zoo'),
    Command(
        'doctor', 'check the installation, a config and its data', 'doctor'
    ),
)


@command
def main(name: str | None = None, args: Sequence[str] | None = None) -> None:
    """Run a subcommand.

    Args:
        name: Name of the subcommand; by default the first argument.
        args: The other arguments; by default those of the process.
    """
    words = list(sys.argv[1:] if args is None else args)
    if name is None:
        name, *words = _split(words)
    chosen = next(c for c in COMMANDS if c.name == name)
    module = import_module(f'lvt_dense.commands.{chosen.module}')
    parser = Parser(prog=f'lvt-dense {name}', description=module.__doc__)
    module.add_arguments(parser)
    add_output(parser)
    if '--schema' in words:
        print(json.dumps(describe_parser(name, parser), indent=1))
        return
    given = parser.parse_intermixed_args(words)
    run = run_as_json if given.json else run_plainly
    status = run(name, module.run, given)
    if status:
        sys.exit(status)


def _split(words: list[str]) -> list[str]:
    """Return the subcommand and its arguments, or print help and exit."""
    names = [c.name for c in COMMANDS]
    parser = Parser(
        prog='lvt-dense',
        usage='lvt-dense COMMAND [arguments]',
        description='Light vision transformers for dense prediction.',
        epilog=_overview(),
    )
    parser.add_argument(
        '--version', action='store_true', help='print the version'
    )
    if words and words[0] in names:
        return words
    if words and not words[0].startswith('-'):
        hint = suggest_or_list(words[0], names)
        parser.error(f'there is no command {words[0]}; {hint}')
    if parser.parse_args(words).version:
        from lvt_dense import __version__

        print(__version__)
        sys.exit(0)
    parser.print_help(sys.stderr)
    sys.exit(2)


def _overview() -> str:
    width = max(len(c.name) for c in COMMANDS) + 2
    lines = [f'  {c.name:{width}}{c.summary}' for c in COMMANDS]
    return '\n'.join(
        [
            'commands:',
            *lines,
            '',
            'lvt-dense COMMAND --help explains each. For example:',
            '  lvt-dense train configs/ssdlite_mobilevit_320_coco.py',
        ]
    )
