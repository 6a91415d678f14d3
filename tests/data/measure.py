"""Measure an official implementation: how the JSON files here are made.

    python tests/data/measure.py emo.json emo_1m my_glue:emo_1m 224x224 96x160

``my_glue`` is a module of yours that imports the official code. Its function
``emo_1m`` returns the official network, and a function that maps an image
(1, 3, H, W) to the maps of the levels by name, such as ``stage1``. The tensors
of the network are replaced by those of ``helpers.official``, which follow
from keys and shapes alone, so that no file of weights is needed.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent))

from helpers.official import filled, image  # noqa: E402

SAMPLES = 64
Run = Callable[[Tensor], dict[str, Tensor]]


def digest(feature: Tensor) -> dict[str, Any]:
    """Summarize a map: shape, mean, deviation, and evenly spread samples."""
    flat = feature.detach().double().reshape(-1).numpy()
    index = np.linspace(0, flat.size - 1, SAMPLES).round().astype(int)
    return dict(
        shape=list(feature.shape),
        mean=float(flat.mean()),
        std=float(flat.std()),
        samples=[float(f'{value:.7g}') for value in flat[index]],
    )


def fill(network: nn.Module, fixed: Iterable[str] = ()) -> None:
    """Replace the tensors of a network, except integers and ``fixed`` ones."""
    state = network.state_dict()
    for key, value in state.items():
        if value.is_floating_point() and key not in set(fixed):
            state[key] = filled(key, value.shape)
    network.load_state_dict(state)


def measure(
    network: nn.Module,
    run: Run,
    sizes: Iterable[tuple[int, int]],
    fixed: Iterable[str] = (),
) -> dict[str, Any]:
    """Fill a network and run it.

    Args:
        network: The official network; it is changed.
        run: Maps an image to the levels by name.
        sizes: Heights and widths of the images.
        fixed: Keys that keep their own value, such as tables of positions.

    Returns:
        The entry of the network in a JSON file.
    """
    fill(network, fixed)
    network.eval()
    cases = []
    with torch.no_grad():
        for height, width in sizes:
            levels = run(image(height, width))
            cases.append(
                dict(
                    input=[height, width],
                    levels={n: digest(level) for n, level in levels.items()},
                )
            )
    keys = {k: list(v.shape) for k, v in network.state_dict().items()}
    return dict(official_keys=keys, fixed=list(fixed), cases=cases)


def main() -> None:
    """Measure, and add the entry to a file."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument('file', help='JSON file in this folder')
    parser.add_argument('name', help='name of the entry')
    parser.add_argument('function', help='MODULE:FUNCTION, see above')
    parser.add_argument('sizes', nargs='+', help='HxW of the images')
    parser.add_argument('--fixed', nargs='*', default=[], help='keys to keep')
    args = parser.parse_args()
    sys.path.insert(0, '')
    module, _, function = args.function.partition(':')
    network, run = getattr(import_module(module), function)()
    sizes = [tuple(map(int, size.split('x'))) for size in args.sizes]
    path = FOLDER / args.file
    content = json.loads(path.read_text()) if path.exists() else {}
    content[args.name] = measure(network, run, sizes, args.fixed)
    path.write_text(json.dumps(content) + '\n')


if __name__ == '__main__':
    main()
