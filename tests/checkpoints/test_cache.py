"""Downloads: once, whole, under unique names, from servers of any kind."""

import dataclasses
import hashlib
import io
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.weight_server import File, Server, serving

from lvt_dense.checkpoints import cache, read_state_dict
from lvt_dense.checkpoints.cache import (
    DownloadError,
    fetch,
    path_of,
    record_of,
)
from lvt_dense.checkpoints.records import WeightFile, suffix_of
from lvt_dense.utils.errors import UserError


def weights(value: float = 1.0, size: int = 3) -> bytes:
    """Bytes of a file with one tensor, ``w``, of that value."""
    content = io.BytesIO()
    torch.save({'w': torch.full((size,), value)}, content)
    return content.getvalue()


def value_in(source: str | WeightFile) -> float:
    return float(read_state_dict(source)['w'][0])


def record(url: str, **facts: object) -> WeightFile:
    given = dict(name='made', url=url, layout='', source='nobody')
    return WeightFile(**{**given, **facts})


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the cache, for this test alone."""
    monkeypatch.setenv('LVT_DENSE_CACHE', str(tmp_path / 'cache'))
    monkeypatch.delenv('LVT_DENSE_MIRROR', raising=False)
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache, 'PAUSES', (0.0, 0.0))
    return tmp_path / 'cache'


def left_over(folder: Path) -> list[str]:
    """Names in the cache, without locks."""
    return sorted(p.name for p in folder.iterdir() if p.name[0] != '.')


def closed_port() -> int:
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


# ---------------------------------------------------------------- the cache
def test_fetched_once(server: Server, folder: Path) -> None:
    server.files['/net.pth'] = File(weights(), etag='"1"')
    url = f'{server.url}/net.pth'
    assert value_in(url) == value_in(url) == 1.0
    assert [status for *_, status in server.requests] == [200, 304]
    name = path_of(record_of(url)).name
    assert left_over(folder) == [name, f'{name}.json']
    note = json.loads((folder / f'{name}.json').read_text())
    digest = hashlib.sha256(server.files['/net.pth'].content).hexdigest()
    assert (note['url'], note['sha256']) == (url, digest)


def test_two_files_of_one_name(server: Server) -> None:
    server.files['/a/net.pth'] = File(weights(1.0))
    server.files['/b/net.pth'] = File(weights(2.0))
    server.files['/net.pth?c=3'] = File(weights(3.0))
    paths = ('a/net.pth', 'b/net.pth', 'net.pth?c=3')
    for _ in range(2):
        found = [value_in(f'{server.url}/{path}') for path in paths]
        assert found == [1.0, 2.0, 3.0]


@pytest.mark.parametrize('etags', ((None, None), ('"1"', '"2"')))
def test_file_replaced_at_its_url(
    server: Server, folder: Path, etags: tuple[str | None, str | None]
) -> None:
    url = f'{server.url}/net.pth'
    for value, etag in zip((1.0, 2.0), etags):
        server.files['/net.pth'] = File(weights(value), etag=etag)
        assert value_in(url) == value
    assert len(left_over(folder)) == 2


def test_cached_file_serves_without_a_server(server: Server) -> None:
    server.files['/net.pth'] = File(weights(), etag='"1"')
    url = f'{server.url}/net.pth'
    assert value_in(url) == 1.0
    for status in (500, 404):
        server.files['/net.pth'].statuses = [status]
        assert value_in(url) == 1.0
    server.files['/net.pth'] = File(b'<html>', kind='text/html; charset=utf-8')
    assert value_in(url) == 1.0
    server.shutdown()
    server.server_close()
    assert value_in(url) == 1.0


def spoil(path: Path) -> None:
    """Change a byte of a file, and neither its size nor its form."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize('has_hash', [False, True])
def test_damaged_file_is_fetched_again(server: Server, has_hash: bool) -> None:
    content = weights(3.0)
    server.files['/net.pth'] = File(content, etag='"1"')
    facts = {}
    if has_hash:
        facts['sha256'] = hashlib.sha256(content).hexdigest()[:16]
    known = record(f'{server.url}/net.pth', **facts)
    path = fetch(known)
    for damage in (spoil, lambda path: path.write_bytes(content[:50])):
        damage(path)
        assert value_in(known) == 3.0
        assert path.read_bytes() == content
    assert [status for *_, status in server.requests] == [200, 200, 200]


def test_damaged_file_without_a_server(server: Server) -> None:
    server.files['/net.pth'] = File(weights())
    url = f'{server.url}/net.pth'
    path = fetch(record_of(url))
    spoil(path)
    server.files['/net.pth'].statuses = [404]
    with pytest.raises(DownloadError) as error:
        fetch(record_of(url))
    assert f'where {path} is damaged' in str(error.value)
    assert 'get the file by other means' in str(error.value)
    assert path.is_file()


def test_file_put_there_by_hand(server: Server) -> None:
    url = f'{server.url}/net.pth'
    path = path_of(record_of(url))
    path.parent.mkdir()
    path.write_bytes(weights(4.0))
    assert value_in(url) == 4.0
    assert not server.requests
    fixed = record(url, size=10)
    path_of(fixed).write_bytes(weights())
    with pytest.raises(
        UserError, match='made.pth is not made: it has .* dele'
    ):
        fetch(fixed)


def test_known_hash_needs_no_question(server: Server) -> None:
    content = weights()
    server.files['/net.pth'] = File(content)
    digest = hashlib.sha256(content).hexdigest()[:8]
    fixed = record(f'{server.url}/net.pth', sha256=digest, size=len(content))
    assert value_in(fixed) == value_in(fixed) == 1.0
    assert len(server.requests) == 1


def test_several_at_once_fetch_once(server: Server) -> None:
    server.files['/net.pth'] = File(weights(), etag='"1"', pause=0.02)
    found: list[float] = []
    url = f'{server.url}/net.pth'
    threads = [
        threading.Thread(target=lambda: found.append(value_in(url)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [1.0] * 4
    assert sorted(s for *_, s in server.requests) == [200, 304, 304, 304]


def test_read_only_cache(server: Server, folder: Path) -> None:
    url = f'{server.url}/net.pth'
    folder.write_text('a file in the place of the folder')
    with pytest.raises(DownloadError, match='cannot be written.*_CACHE'):
        fetch(record_of(url))


def test_names() -> None:
    first, second = (record_of(f'http://{h}/net.pth') for h in 'ab')
    assert first.file_name != second.file_name
    assert first.file_name.startswith('net-')
    assert suffix_of('https://x/81.5_T2T_ViT_14.pth.tar') == '.pth.tar'
    assert suffix_of('https://x/model.safetensors?download=true') == (
        '.safetensors'
    )
    assert suffix_of('https://drive.example/download?id=1') == '.pth'
    default = Path(torch.hub.get_dir(), 'checkpoints')
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv('LVT_DENSE_CACHE')
        assert cache.weights_dir() == default


# ------------------------------------------------------------------- faults
def test_broken_connection_goes_on(server: Server, folder: Path) -> None:
    content = weights(size=5000)
    server.files['/net.pth'] = File(content, cuts=[1000, 2000], etag='"1"')
    assert value_in(f'{server.url}/net.pth') == 1.0
    ranges = [(asked, status) for _, asked, status in server.requests]
    assert ranges == [
        (None, 200),
        ('bytes=1000-', 206),
        ('bytes=3000-', 206),
    ]
    note = next(folder.glob('*.json'))
    assert json.loads(note.read_text())['length'] == len(content)
    assert value_in(f'{server.url}/net.pth') == 1.0
    assert server.requests[-1][-1] == 304


def test_broken_connection_without_ranges(server: Server) -> None:
    server.files['/net.pth'] = File(
        weights(size=5000), cuts=[1000], etag='"1"', takes_ranges=False
    )
    assert value_in(f'{server.url}/net.pth') == 1.0
    server.files['/b.pth'] = File(weights(2.0, 5000), cuts=[1000])
    assert value_in(f'{server.url}/b.pth') == 2.0


def test_file_that_changes_between_attempts(server: Server) -> None:
    old = File(weights(1.0, 5000), cuts=[1000, 0, 0], etag='"1"')
    server.files['/net.pth'] = old
    url = f'{server.url}/net.pth'
    with pytest.raises(DownloadError, match='only 1000 of'):
        fetch(record_of(url))
    server.files['/net.pth'] = File(weights(2.0, 5000), etag='"2"')
    assert value_in(url) == 2.0


def test_rest_that_is_not_there(server: Server, folder: Path) -> None:
    content = weights()
    server.files['/net.pth'] = File(content, etag='"1"')
    path = path_of(record_of(f'{server.url}/net.pth'))
    folder.mkdir()
    (folder / f'{path.name}.partial').write_bytes(content)
    (folder / f'{path.name}.partial.json').write_text('{"etag": "\\"1\\""}')
    assert value_in(f'{server.url}/net.pth') == 1.0
    assert [status for *_, status in server.requests] == [416, 200]


@pytest.mark.parametrize('has_length', (True, False))
def test_truncated_for_good(
    server: Server, folder: Path, has_length: bool
) -> None:
    content = weights(size=5000)
    server.files['/net.pth'] = File(
        content, cuts=[900] * 9, has_length=has_length
    )
    with pytest.raises(DownloadError, match='only 900 of|incomplete, with'):
        fetch(record_of(f'{server.url}/net.pth'))
    assert not [n for n in left_over(folder) if n.endswith('.pth')]


def test_server_that_recovers(server: Server) -> None:
    server.files['/net.pth'] = File(weights(), statuses=[503, 429])
    assert value_in(f'{server.url}/net.pth') == 1.0
    assert [status for *_, status in server.requests] == [503, 429, 200]


def test_slow_server(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines: list[str] = []
    monkeypatch.setattr(cache, '_log', lines.append)
    monkeypatch.setattr(cache, 'TIMEOUT', 0.2)
    server.files['/net.pth'] = File(weights(size=5000), pause=0.01)
    assert value_in(f'{server.url}/net.pth') == 1.0
    assert 'fetching net-' in lines[0]
    server.files['/stuck.pth'] = File(weights(), pause=1.0)
    with pytest.raises(DownloadError, match=r'stuck.*timed out'):
        fetch(record_of(f'{server.url}/stuck.pth'))


@pytest.mark.parametrize(
    ('content', 'kind'),
    (
        (b'<!DOCTYPE html><title>Sign in</title>', 'text/html'),
        (b'\n <html>virus scan</html>', 'application/octet-stream'),
        (b'<?xml version="1.0"?><Error/>', 'application/xml'),
    ),
)
def test_web_page(
    server: Server, folder: Path, content: bytes, kind: str
) -> None:
    server.files['/net.pth'] = File(content, kind=kind)
    page = 'https://example.org/page'
    with pytest.raises(DownloadError) as caught:
        fetch(record(f'{server.url}/net.pth', page=page))
    message = str(caught.value)
    for part in (
        'made cannot be fetched',
        f'{server.url}/net.pth (the server sent a web page instead of the '
        'file)',
        f'from {page} and put it at {folder / "made.pth"}',
        'LVT_DENSE_MIRROR',
    ):
        assert part in message
    assert '\n' not in message
    assert 'made.pth' not in left_over(folder)
    assert len(server.requests) == 1


def test_not_found(server: Server, folder: Path) -> None:
    url = f'{server.url}/gone/net.pth'
    with pytest.raises(UserError, match='HTTP 404') as caught:
        read_state_dict(url)
    assert url in str(caught.value)
    assert str(path_of(record_of(url))) in str(caught.value)
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    'host',
    (f'127.0.0.1:{closed_port()}', 'no-such-host.invalid'),
    ids=('refused', 'unknown'),
)
def test_no_network(host: str) -> None:
    with pytest.raises(UserError, match='cannot be fetched') as caught:
        read_state_dict(f'http://{host}/net.pth')
    assert 'put it at' in str(caught.value)


def test_wrong_size_and_hash(server: Server, folder: Path) -> None:
    content = weights()
    server.files['/net.pth'] = File(content)
    fixed = record(f'{server.url}/net.pth', size=7)
    with pytest.raises(DownloadError, match=r'bytes instead of 7'):
        fetch(fixed)
    fixed = dataclasses.replace(fixed, size=None, sha256='00000000')
    with pytest.raises(DownloadError, match=r'SHA-256 sum is .*not 00000000'):
        fetch(fixed)
    assert 'made.pth' not in left_over(folder)


def test_bad_urls() -> None:
    for url in ('http://', 'http://[x/net.pth', 'https:///net.pth'):
        with pytest.raises(UserError):
            read_state_dict(url)


# ------------------------------------------------------- mirrors and proxies
def test_mirror(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.files['/mirror/made.pth'] = File(weights(5.0))
    server.files['/origin/net.pth'] = File(weights(6.0))
    fixed = record(f'{server.url}/origin/net.pth')
    monkeypatch.setenv('LVT_DENSE_MIRROR', f'{server.url}/mirror/')
    assert value_in(fixed) == 5.0
    path_of(fixed).unlink()
    del server.files['/mirror/made.pth']
    assert value_in(fixed) == 6.0  # what the mirror lacks
    path_of(fixed).unlink()
    folder = tmp_path / 'a mirror'
    folder.mkdir()
    (folder / 'made.pth').write_bytes(weights(7.0))
    monkeypatch.setenv('LVT_DENSE_MIRROR', str(folder))
    assert value_in(fixed) == value_in(fixed) == 7.0
    path_of(fixed).unlink()
    (folder / 'made.pth').unlink()
    del server.files['/origin/net.pth']
    with pytest.raises(DownloadError, match='a%20mirror.*nor from http'):
        fetch(fixed)


def test_proxy(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('http_proxy', server.url)
    monkeypatch.setenv('no_proxy', '')
    url = 'http://far.invalid/net.pth'
    server.files[url] = File(weights(8.0))  # a proxy is asked for whole URLs
    assert value_in(url) == 8.0
