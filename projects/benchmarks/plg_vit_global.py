"""The pooled global branch of LW PLG-ViT against attention over all pixels.

    python projects/benchmarks/plg_vit_global.py

Multiply-accumulates and time of ``plg_vit_lw_r`` for one square image. In the
reference the global branch attends over the whole map instead of one pooled
window; the local branch is the same. The longest runs take minutes, so each
size is timed ``--rounds`` times without a run to warm up.
"""

import argparse
import statistics
import time

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import lvt_dense
from lvt_dense.apis.zoo import macs
from lvt_dense.models.backbones.plg_vit import ParallelAttention

NAME = 'plg_vit_lw_r'


def attend_everywhere(self: ParallelAttention, x: Tensor) -> Tensor:
    """Global attention over the map, with the weights of the branch."""
    attn = self.global_attn
    n, channels, height, width = x.shape
    tokens = x.flatten(2).transpose(1, 2)
    qkv = attn.qkv(tokens).view(n, height * width, 3, attn.num_heads, -1)
    query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind()
    out = F.scaled_dot_product_attention(query, key, value)
    out = attn.proj(out.transpose(1, 2).reshape(n, height * width, channels))
    return out.transpose(1, 2).view(n, channels, height, width)


def everywhere(backbone: nn.Module) -> nn.Module:
    """Replace the global branch of every block."""
    for module in backbone.modules():
        if isinstance(module, ParallelAttention):
            module._global = attend_everywhere.__get__(module)
    return backbone


def seconds(model: nn.Module, side: int, rounds: int) -> float:
    """Median time for one image."""
    x = torch.randn(1, 3, side, side)
    times = []
    with torch.inference_mode():
        for _ in range(rounds):
            start = time.perf_counter()
            model(x)
            times.append(time.perf_counter() - start)
    return statistics.median(times)


def main() -> None:
    """Print one line for every size and model."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument(
        '--sides', type=int, nargs='+', default=[512, 1024, 2048]
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    models = {
        'pooled window': lvt_dense.build_backbone(NAME).eval(),
        'all pixels': everywhere(lvt_dense.build_backbone(NAME).eval()),
    }
    with torch.device('meta'):
        counted = {
            'pooled window': lvt_dense.build_backbone(NAME).eval(),
            'all pixels': everywhere(lvt_dense.build_backbone(NAME).eval()),
        }
    for side in args.sides:
        for title, model in models.items():
            cost = macs(counted[title], side, side) / 1e9
            found = seconds(model, side, args.rounds)
            print(
                f'{side:5} px  {title:14} {cost:10.2f} GMACs {found:9.3f} s',
                flush=True,
            )


if __name__ == '__main__':
    main()
