"""The metrics of a checkpoint with the pure and with the compiled operators.

    python projects/benchmarks/ops_metrics.py \
        configs/ssdlite_mobilevit_xxs_192_demo.py work_dirs/demo/epoch_32.pth

Evaluates twice and prints the metrics and their largest difference. Needs
the compiled mmcv (`make ops`).
"""

import argparse
import sys
import tempfile

from mmengine.config import Config
from ops import switch

from lvt_dense.apis.test import test
from lvt_dense.config import set_data_root
from lvt_dense.ops import using_compiled
from lvt_dense.ops.stand_in import NAME, StandIn


def main() -> None:
    """Evaluate with both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('config')
    parser.add_argument('checkpoint')
    parser.add_argument('--data-root', help='another copy of the data set')
    args = parser.parse_args()
    if not using_compiled():
        parser.error('mmcv has no compiled operators here: `make ops`')
    metrics = []
    with tempfile.TemporaryDirectory() as folder:
        for operators in (StandIn(NAME), sys.modules[NAME]):
            cfg = Config.fromfile(args.config)
            if args.data_root:
                set_data_root(cfg, args.data_root)
            switch(operators)
            metrics.append(test(cfg, args.checkpoint, work_dir=folder))
    pure, compiled = metrics
    for name, value in compiled.items():
        print(f'{name:40s} {pure[name]:.6f} {value:.6f}')
    largest = max(abs(pure[name] - compiled[name]) for name in compiled)
    print(f'largest difference: {largest:.2g}')


if __name__ == '__main__':
    main()
