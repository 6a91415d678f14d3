"""Print the table of all backbones.

Example:
    lvt-dense zoo
"""

import argparse

from lvt_dense.commands.output import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add no argument: the command has none."""


def run(args: argparse.Namespace) -> Outcome:
    """Print the table."""
    from lvt_dense.apis.zoo import format_backbones, list_rows

    rows = list_rows()
    print(format_backbones(rows))
    return Outcome(rows)
