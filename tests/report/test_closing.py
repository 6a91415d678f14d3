"""The page at the end of a training."""

from pathlib import Path

from lvt_dense.analysis.advice import Advice, ClassResult, Result
from lvt_dense.report.closing import format_summary


def test_the_whole_page() -> None:
    result = Result(
        metric='coco/bbox_mAP',
        best=0.412,
        curve=[(1, 0.2), (2, 0.412)],
        classes=[
            ClassResult('cat', 0.6, 300, 200),
            ClassResult('hare', 0.12, 14, 9),
        ],
        errors=dict(Loc=0.081, Cls=0.01),
        small=(0.05, 0.43),
        small_share=0.6,
        images=120,
    )
    advice = [
        (Advice('more images of hare', ('--balance',)), 'lvt-dense train x'),
        (Advice('larger images'), ''),
    ]
    text = format_summary(result, advice, Path('w/best.pth'), ['lvt-dense y'])
    assert text.splitlines() == [
        'result: coco/bbox_mAP 0.412 at epoch 2, w/best.pth',
        'weakness: lowest AP50: hare 0.12 (14 training objects), '
        'cat 0.60 (300 training objects)',
        'weakness: Loc errors (right class, wrong place) cost most: 8.1 '
        'points of AP50',
        'weakness: small objects score 0.05, large ones 0.43; 60 % of all '
        'objects are small (of 120 validation images)',
        'suggestion: more images of hare',
        '    lvt-dense train x',
        'suggestion: larger images',
        'next: lvt-dense y',
    ]


def test_metrics_alone() -> None:
    result = Result('mIoU', 51.2, [(3, 50.0)])
    text = format_summary(result, [], None, [])
    assert text == 'result: mIoU 51.2 before this run\n'
