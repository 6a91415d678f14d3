"""MobileViT's pyramids against timm's ``features_only`` models.

pip install --no-deps timm
python projects/benchmarks/mobilevit_timm.py
"""

import argparse
from collections.abc import Callable

import torch
from timing import compare
from timm_alone import import_timm
from torch import Tensor, nn

import lvt_dense


def _step(model: nn.Module, x: Tensor) -> Callable[[], None]:
    def run() -> None:
        model.zero_grad()
        sum(level.mean() for level in model(x)).backward()

    return run


def main() -> None:
    """Print one line for every size and use."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=15)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    timm = import_timm()
    print(f'{"":30}{"timm":>11}  {"ours":>11}  ratio')
    for arch in ('xxs', 'xs', 's'):
        name = f'mobilevit_{arch}'
        theirs = timm.create_model(name, features_only=True).eval()
        ours = lvt_dense.build_backbone(name).eval()
        for side in (320, 512):
            x = torch.randn(1, 3, side, side)
            with torch.inference_mode():
                found = compare(
                    lambda m=theirs, x=x: m(x),
                    lambda m=ours, x=x: m(x),
                    args.rounds,
                )
            print(f'{name:14} eval   1 x {side:4}   {found}', flush=True)
        x = torch.randn(8, 3, 320, 320)
        steps = (_step(m.train(), x) for m in (theirs, ours))
        found = compare(*steps, max(args.rounds // 3, 3))
        print(f'{name:14} train  8 x  320   {found}', flush=True)


if __name__ == '__main__':
    main()
