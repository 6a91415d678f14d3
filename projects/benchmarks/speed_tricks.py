"""What two tricks gain on a CPU: each against the plain form of the same.

Linear layers as convolutions are on only where MKL is slow (AMD CPUs with
AVX-512); the script takes them everywhere. Talking heads in groups compute
their attention weights a few windows at a time.
"""

import argparse

import torch
from timing import compare
from torch import nn

from lvt_dense.models.backbones import nasvit_attention
from lvt_dense.models.backbones.nasvit_attention import TalkingHeadAttention
from lvt_dense.models.layers import linear, project

TOKENS = ((1024, 256, 512), (3136, 256, 768), (4200, 384, 1152))
MAPS = ((32, 32, 64), (64, 64, 64), (50, 84, 112))


def linear_layers(rounds: int) -> None:
    """Compare ``nn.Linear`` with its convolution, by tokens and widths."""
    linear.MKL_IS_SLOW = True
    for length, width, out in TOKENS:
        layer, x = nn.Linear(width, out), torch.randn(1, length, width)
        found = compare(
            lambda layer=layer, x=x: layer(x),
            lambda layer=layer, x=x: project(x, layer),
            rounds,
        )
        print(f'linear {length} x {width} -> {out:5}{found}', flush=True)


def talking_heads(rounds: int) -> None:
    """Compare attention all at once with attention in groups, by maps."""
    entries = nasvit_attention.GROUP_ENTRIES
    for height, width, channels in MAPS:
        layer = TalkingHeadAttention(channels, 18, 1).eval()
        x = torch.randn(1, height, width, channels)

        def run(
            limit: int, layer: nn.Module = layer, x: torch.Tensor = x
        ) -> torch.Tensor:
            nasvit_attention.GROUP_ENTRIES = limit
            return layer(x)

        found = compare(
            lambda run=run: run(2**62), lambda run=run: run(entries), rounds
        )
        side = f'{height} x {width} x {channels}'
        print(f'talking heads {side:14}{found}', flush=True)


@torch.inference_mode()
def main() -> None:
    """Print one line for every size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=25)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f'{"":28}{"plain":>11}  {"ours":>11}  ratio')
    linear_layers(args.rounds)
    talking_heads(args.rounds)


if __name__ == '__main__':
    main()
