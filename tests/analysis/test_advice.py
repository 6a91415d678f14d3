"""What would help a training most, decided from figures."""

from typing import Any

import pytest

from lvt_dense.analysis.advice import ClassResult, Result, UsedSettings, advise

RISING = [(e, 0.1 * e) for e in range(1, 9)]
DEFAULT = UsedSettings(epochs=20, size=320)
FLAT = [(1, 0.1), (2, 0.3), (3, 0.39), (4, 0.4), (5, 0.395), (6, 0.4)]
EVEN = (
    ClassResult('cat', 0.6, 300, 200),
    ClassResult('dog', 0.7, 400, 210),
)


def result(**changes: Any) -> Result:
    values = dict(metric='mAP', best=0.4, curve=FLAT, classes=EVEN)
    values |= changes
    return Result(**values)


def only(found: Result, used: UsedSettings = DEFAULT) -> Any:
    (advice,) = advise(found, used)
    return advice


def test_nothing_stands_out() -> None:
    advice = only(result())
    assert 'no figure stands out' in advice.text
    assert advice.options == ()


def test_longer() -> None:
    advice = only(result(curve=RISING, best=0.8))
    assert advice.text == (
        'train longer: mAP was still rising at the end, from 0.6 to 0.8 in '
        'the last 2 of 8 validations'
    )
    assert advice.options == ('--resume', '--epochs', '40')
    by_iterations = only(result(curve=RISING, best=0.8), UsedSettings())
    assert by_iterations.options == ()


def test_not_longer() -> None:
    """After a peak, with a tiny gain, and after two validations."""
    flat = [(e, 0.4 + 0.0001 * e) for e in range(1, 9)]
    for curve in (FLAT, flat, RISING[:2], [*RISING, (9, 0.7)]):
        best = max(v for _, v in curve)
        assert 'no figure' in only(result(curve=curve, best=best)).text


def test_less_is_better() -> None:
    curve = [(e, 1 - 0.1 * e) for e in range(1, 9)]
    found = result(curve=curve, best=curve[-1][1], higher_is_better=False)
    assert 'train longer: mAP was still falling' in only(found).text


def test_nothing_learned() -> None:
    found = result(best=0.0, curve=[(1, 0.0)], classes=())
    advice = only(found)
    assert 'mAP is still 0' in advice.text
    assert '--resume' in advice.options


def test_learned_by_heart() -> None:
    advice = only(result(train_score=0.9, val_score=0.6))
    assert advice.options == ('--augment', 'strong')
    assert 'AP50 is 0.90 on training and 0.60 on validation' in advice.text
    assert 'no figure' in only(result(train_score=0.7, val_score=0.6)).text


def test_rare_class() -> None:
    rare = ClassResult('hare', 0.1, 60, 20)
    found = result(classes=(*EVEN, rare))
    advice = only(found)
    assert advice.text.startswith('more images of hare (60 objects): rarer')
    assert advice.options == ('--balance',)
    balanced = UsedSettings(epochs=20, size=320, balance=True)
    assert only(found, balanced).options == ()
    easy = ClassResult('hare', 0.65, 60, 20)
    assert 'no figure' in only(result(classes=(*EVEN, easy))).text


def test_few_objects_at_all() -> None:
    classes = [ClassResult(n, 0.2, 10, 8) for n in ('a', 'b')]
    advice = only(result(classes=classes))
    assert 'a (10 objects), b (10 objects): fewer than 50' in advice.text
    assert advice.options == ()


@pytest.mark.parametrize(
    ('used', 'options'),
    (
        (UsedSettings(size=320), ('--tiles', '320')),
        (UsedSettings(size=320, tiles=True), ()),
        (UsedSettings(size=320, can_tile=False), ()),
        (UsedSettings(), ()),
    ),
)
def test_small_objects(used: UsedSettings, options: tuple) -> None:
    found = result(small=(0.1, 0.5), small_share=0.6)
    advice = only(found, used)
    assert 'small objects score 0.10, large ones 0.50' in advice.text
    assert advice.options == options
    assert ('raise the scale' in advice.text) == (not options)


def test_small_objects_that_do_well_or_are_few() -> None:
    for changes in (
        dict(small=(0.4, 0.5), small_share=0.6),
        dict(small=(0.1, 0.5), small_share=0.1),
    ):
        assert 'no figure' in only(result(**changes)).text


def test_the_surest_first() -> None:
    found = result(
        curve=RISING,
        best=0.8,
        train_score=0.9,
        val_score=0.5,
        classes=(*EVEN, ClassResult('hare', 0.1, 60, 20)),
        small=(0.1, 0.5),
    )
    texts = [
        a.text.split(':')[0] for a in advise(found, UsedSettings(epochs=4))
    ]
    assert texts == [
        'train longer',
        'more images, or stronger augmentation',
        'more images of hare (60 objects)',
    ]


def test_what_the_page_lists() -> None:
    found = result(
        classes=(*EVEN, ClassResult('hare', 0.1, 60, 20)),
        errors=dict(Cls=0.05, Loc=0.1, Miss=0.02, FP=0.4),
    )
    assert [c.name for c in found.weakest(2)] == ['hare', 'cat']
    assert result(classes=EVEN[:1]).weakest() == []
    assert found.worst_error() == ('Loc', 0.1)
    assert result(errors={}).worst_error() is None
    assert found.best_epoch == 4
    assert result(best=0.9).best_epoch is None
