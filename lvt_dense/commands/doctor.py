"""Check the installation, and a config with its data and weights.

For each problem, it prints the command that fixes it. The exit status is 1 if
there are problems.

Example:
    lvt-dense doctor
    lvt-dense doctor configs/ssdlite_mobilevit_320_coco.py --data-root DIR
    lvt-dense doctor configs/ssdlite_mobilevit_320_coco.py --data DIR
"""

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

from lvt_dense.commands.arguments import add_config, read_config
from lvt_dense.commands.output import Outcome
from lvt_dense.utils.errors import UserError

if TYPE_CHECKING:
    from lvt_dense.apis.doctor import Finding


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    add_config(parser, optional=True)


def run(args: argparse.Namespace) -> Outcome:
    """Check, and print the findings."""
    from lvt_dense.apis.doctor import examine, print_findings

    warnings.filterwarnings('ignore')  # of the packages that are looked at
    if args.data and not args.config:
        raise UserError(
            '--data needs the config of a recipe before it, such as '
            'lvt-dense doctor configs/ssdlite_mobilevit_320_coco.py '
            f'--data {args.data}'
        )
    load = partial(read_config, args) if args.config else None
    found = []

    def note() -> Iterator['Finding']:
        for finding in examine(load):
            found.append(asdict(finding))
            yield finding

    status = print_findings(note())
    return Outcome(found, status)
