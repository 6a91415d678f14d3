"""Sweep over the light networks of timm; see README.md."""

import argparse
import json
import sys
from pathlib import Path

import torch
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from timm_sweep.sweep import (
    examine,
    format_table,
    light_names,
    read_rows,
    summarize,
)

from lvt_dense.compat.stack import import_stack
from lvt_dense.utils.files import write_atomically


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--limit', type=float, default=30e6, help='most parameters'
    )
    parser.add_argument(
        '--first', type=int, help='how many networks, of all modules in turn'
    )
    parser.add_argument('--names', nargs='+', help='these alone')
    parser.add_argument(
        '--train', type=int, help='how many are trained and predict; all'
    )
    parser.add_argument(
        '--export', type=int, default=100, help='how many are exported'
    )
    parser.add_argument('--out', default='work_dirs/timm_sweep')
    return parser.parse_args()


def main() -> None:
    """Try the networks that have no row yet, and write the table."""
    args = parse_args()
    torch.set_num_threads(1)
    import_stack()
    log = Path(args.out, 'rows.jsonl')
    log.parent.mkdir(parents=True, exist_ok=True)
    known = read_rows(log)
    names = args.names or light_names(args.limit)[: args.first]
    for index, name in enumerate(tqdm(names, 'Networks')):
        if name not in known:
            is_trained = args.train is None or index < args.train
            known[name] = examine(name, is_trained, index < args.export)
            with open(log, 'a', encoding='utf-8') as file:
                file.write(json.dumps(known[name]) + '\n')
    rows = [known[name] for name in names]
    write_atomically(Path(args.out, 'table.md'), format_table(rows))
    print('\n'.join(summarize(rows)))


if __name__ == '__main__':
    main()
