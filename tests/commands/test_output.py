"""Every command for scripts: one document, its options, its exit status."""

import json
from pathlib import Path

import pytest
from helpers.commands import run_command

from lvt_dense.commands.main import COMMANDS, Command
from lvt_dense.scenes import write_coco


@pytest.mark.parametrize('command', COMMANDS, ids=lambda c: c.name)
def test_schema(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(command.name, '--schema') == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema['command'] == command.name
    options = {option['name']: option for option in schema['options']}
    assert options['json']['type'] == 'bool'
    assert all(option['help'] for option in options.values())
    assert set(schema['statuses']) == {'0', '1', '2', '130'}


def test_types_in_a_schema(capsys: pytest.CaptureFixture[str]) -> None:
    run_command('visualize', '--schema')
    schema = json.loads(capsys.readouterr().out)
    options = {option['name']: option for option in schema['options']}
    size = options['batch_size']
    assert (size['type'], size['default']) == ('int', 4)
    assert options['source']['required']
    assert not options['checkpoint']['required']
    assert options['merge']['choices'] == ['nms', 'wbf']


def test_one_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ('--format', 'coco', '--images', 1, '--size', '64x48')
    folder = tmp_path / 'data'
    status = run_command('make-demo-data', *words, '--out', folder, '--json')
    assert status == 0
    output = capsys.readouterr()
    assert json.loads(output.out) == dict(
        command='make-demo-data',
        status=0,
        error=None,
        result=dict(images=1, folder=str(folder)),
    )
    assert f'1 images in {folder}' in output.err


def test_an_error_is_in_the_document(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = run_command('predict', tmp_path / 'a.onnx', tmp_path, '--json')
    assert status == 2
    output = capsys.readouterr()
    document = json.loads(output.out)
    assert document['status'] == 2
    assert document['error'] == f'{tmp_path / "a.onnx"} does not exist'
    assert output.err == f'error: {document["error"]}\n'


def test_tables_are_data(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command('weights', 'where', 'mobilevit_xxs', '--json') == 0
    (file,) = json.loads(capsys.readouterr().out)['result']
    assert file['top1'] == 69.0


@pytest.mark.parametrize('is_json', [False, True])
def test_output_below_a_file_is_one_line(
    is_json: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'file').write_text('no folder')
    out = tmp_path / 'file' / 'data'
    images = tmp_path / 'coco'
    write_coco(images, 2, seed=0, size=(90, 70))
    config = 'lvt_dense::ssdlite_mobilevit_xxs_192_demo.py'
    words = ('browse', config, '--data-root', images, '--out', out)
    more = ('--json',) if is_json else ()
    assert run_command(*words, *more) == 2
    said = capsys.readouterr()
    assert 'cannot be used: not a directory; name another' in said.err
    assert 'Traceback' not in said.err
