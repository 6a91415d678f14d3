"""What computing talking heads in groups gains on a CPU.

NASViT's attention weights are computed a few windows at a time, against all
at once.
"""

import argparse

import torch
from timing import compare

from lvt_dense.models.backbones import nasvit_attention
from lvt_dense.models.backbones.nasvit_attention import TalkingHeadAttention

MAPS = ((32, 32, 64), (64, 64, 64), (50, 84, 112))


def talking_heads(rounds: int) -> None:
    """Compare attention all at once with attention in groups, by maps."""
    entries = nasvit_attention.GROUP_ENTRIES
    for height, width, channels in MAPS:
        layer = TalkingHeadAttention(channels, 18, 1).eval()
        x = torch.randn(1, height, width, channels)

        def run(
            limit: int,
            layer: TalkingHeadAttention = layer,
            x: torch.Tensor = x,
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
    talking_heads(args.rounds)


if __name__ == '__main__':
    main()
