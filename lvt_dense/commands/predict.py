"""Predict with an exported model, without PyTorch.

Example:
    lvt-dense predict ssdlite.onnx street.jpg --out pictures
"""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    from lvt_dense.deploy import predictor

    predictor.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Predict."""
    from lvt_dense.deploy import predictor

    return predictor.run(args)
