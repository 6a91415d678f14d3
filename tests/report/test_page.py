"""The page as a file, and in a browser."""

import re
from pathlib import Path

import numpy as np
import pytest
from helpers.browser import load_page
from helpers.records import SIZE, random_record
from PIL import Image

from lvt_dense.analysis.detection import analyze_detection
from lvt_dense.analysis.records import Record
from lvt_dense.report.charts import Series, line_chart, matrix
from lvt_dense.report.detection import detection_sections
from lvt_dense.report.gallery import detection_gallery
from lvt_dense.report.page import (
    Section,
    format_html_table,
    percent,
    write_report_page,
)
from lvt_dense.report.run import config_difference


@pytest.fixture(scope='module')
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """Detections with images."""
    folder = tmp_path_factory.mktemp('images')
    found = random_record(0, masks=True)
    rng = np.random.default_rng(0)
    for i in range(len(found.images)):
        pixels = rng.integers(255, size=(*SIZE, 3), dtype=np.uint8)
        path = folder / f'{i}.jpg'
        Image.fromarray(pixels).save(path)
        found.images.paths[i] = str(path)
    return found


@pytest.fixture(scope='module')
def page(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    figures = analyze_detection(record, by_mask=True, precision=0.9)
    out = tmp_path_factory.mktemp('page') / 'report.html'
    sections = [
        *detection_sections(figures, 0.9),
        *detection_gallery(record, figures),
    ]
    write_report_page(out, 'A <title>', 'below & beside', sections)
    return out


def test_page_is_self_contained(page: Path) -> None:
    text = page.read_text()
    assert 'A &lt;title&gt;' in text and 'below &amp; beside' in text
    assert text.count('src="data:image/webp;base64,') == text.count('src="')
    assert not re.findall(r'(?:src|href)="(?!data:|#)', text)
    assert text.count('<figure') >= 8 + 2
    assert len(text) < 15e6


def test_browser_shows_it_without_errors(page: Path, tmp_path: Path) -> None:
    document, console = load_page(page, tmp_path)
    assert console == []
    errors = [float(x) for x in re.findall('data-error="([^"]+)"', document)]
    assert len(errors) == 8
    assert errors == sorted(errors, reverse=True)  # the script has run


def test_browser_tells_errors(tmp_path: Path) -> None:
    path = tmp_path / 'bad.html'
    path.write_text('<script>missing()</script>')
    assert load_page(path, tmp_path / 'profile')[1]


def test_images_that_are_gone_are_counted(record: Record) -> None:
    gone = random_record(0, masks=True)
    figures = analyze_detection(gone, by_mask=True)
    sections = detection_gallery(gone, figures)
    assert '8 images are not shown' in sections[0].body


def test_line_chart_leaves_gaps() -> None:
    chart = line_chart(
        [Series('a', [0, 1, 2, 3, 4], [1, 2, np.nan, 3, 4])], 'x', 'y'
    )
    assert chart.count('<polyline') == 2
    assert 'nan' not in chart


def test_matrix_names_its_cells() -> None:
    drawn = matrix(np.array([[3, 0], [1, 2]]), ['a', '<b>'], ['c', 'd'])
    assert drawn.count('<rect') == 3
    assert '&lt;b&gt; → c: 1' in drawn


def test_table_shows_a_dash_for_nothing() -> None:
    assert (
        format_html_table(['a', 'b'], [[None, float('nan')]]).count('–') == 2
    )
    assert percent(0.1234) == '12.3'
    assert percent(float('nan')) == '–'


def test_config_difference() -> None:
    base = dict(a=1, model=dict(depth=(1, 2)), steps=[dict(type='A')])
    own = dict(model=dict(depth=[1, 2], width=3), steps=[dict(type='B')], a=1)
    assert config_difference(base, own) == [
        ['steps[0].type', "'A'", "'B'"],
        ['model.width', '(not set)', '3'],
    ]


def test_nothing_is_left_of_a_page_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError):
        write_report_page(tmp_path / 'a.html', 'a', 'b', [Section('c', 'd')])
    assert list(tmp_path.iterdir()) == []


def test_calibration_without_predictions_is_a_sentence() -> None:
    from lvt_dense.analysis.thresholds import calibrate
    from lvt_dense.report.detection import calibration_chart

    none = calibrate(np.zeros(0), np.zeros(0, bool))
    text = calibration_chart(none)
    assert 'no prediction' in text and 'svg' not in text
    some = calibrate(np.array([0.4]), np.array([True]))
    assert 'error is 60.00 %' in calibration_chart(some)
