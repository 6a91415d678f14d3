"""The page at the end of a training."""

from pathlib import Path

from lvt_dense.analysis.advice import Advice, ClassResult, Result
from lvt_dense.report.closing import closing_text


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
    text = closing_text(result, advice, Path('w/best.pth'), ['lvt-dense y'])
    assert text.splitlines() == [
        'reached: coco/bbox_mAP 0.412 at epoch 2, w/best.pth',
        'fails: weakest classes by AP50: hare 0.12 (14 objects in training), '
        'cat 0.60 (300 objects in training)',
        'fails: the costliest error is Loc, right class, wrong place: 8.1 '
        'points of AP50',
        'fails: small objects reach 0.05, large ones 0.43; 60 % of all are '
        'small (of 120 validation images)',
        'would help: more images of hare',
        '    lvt-dense train x',
        'would help: larger images',
        'next: lvt-dense y',
    ]


def test_metrics_alone() -> None:
    result = Result('mIoU', 51.2, [(3, 50.0)])
    text = closing_text(result, [], None, [])
    assert text == 'reached: mIoU 51.2 before this run\n'
