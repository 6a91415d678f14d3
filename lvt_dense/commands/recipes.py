"""List the recipes that come with the package.

Example:
    lvt-dense recipes
    lvt-dense recipes cityscapes
    lvt-dense recipes 'ssdlite_*_320_coco'
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument(
        'pattern',
        nargs='?',
        help='part of a name, task, data set or backbone, or a pattern of '
        'names with * and ?',
    )


def run(args: argparse.Namespace) -> None:
    """Print the table."""
    from lvt_dense.apis.recipes import find_recipes, format_recipes

    print(format_recipes(find_recipes(args.pattern)))
