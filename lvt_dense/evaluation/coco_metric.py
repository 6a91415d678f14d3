"""COCO's twelve figures."""

from collections import OrderedDict

from mmdet.evaluation.metrics import CocoMetric as MMDetCocoMetric

from lvt_dense.registry import METRICS

# Of pycocotools' summary, by the names under which MMDetection knows them.
# It numbers the recalls after its own default of 100, 300 and 1000 boxes.
FIGURES = {
    'mAP': 'mAP',
    'mAP_50': 'mAP_50',
    'mAP_75': 'mAP_75',
    'mAP_s': 'mAP_s',
    'mAP_m': 'mAP_m',
    'mAP_l': 'mAP_l',
    'AR@100': 'AR@1',
    'AR@300': 'AR@10',
    'AR@1000': 'AR@100',
    'AR_s@1000': 'AR_s@100',
    'AR_m@1000': 'AR_m@100',
    'AR_l@1000': 'AR_l@100',
}


@METRICS.register_module()
class CocoMetric(MMDetCocoMetric):
    """MMDetection's metric with the settings and figures of COCO itself.

    At most 1, 10 and 100 boxes an image count, as in pycocotools, and all
    twelve figures of its summary are reported.

    Args:
        **kwargs: Arguments of MMDetection's ``CocoMetric``.
    """

    def __init__(self, *args, **kwargs) -> None:
        kwargs.setdefault('proposal_nums', (1, 10, 100))
        kwargs.setdefault('metric_items', list(FIGURES))
        super().__init__(*args, **kwargs)

    def compute_metrics(self, results: list[tuple]) -> dict[str, float]:
        """Compute the figures, in [0, 1]; -1 where no object counts."""
        figures = super().compute_metrics(results)
        return OrderedDict(
            (_renamed(name), value) for name, value in figures.items()
        )


def _renamed(name: str) -> str:
    kind, _, figure = name.partition('_')
    return f'{kind}_{FIGURES[figure]}' if figure in FIGURES else name
