"""Download weight files once, whole, and keep them under unique names.

A file lies in the cache under the name of its record, or, for any other URL,
under its own name and a digest of the URL, so that two files of one name do
not meet. A note beside it says where it came from. Unless its hash is known
beforehand, the server is asked at every use whether the file has changed; a
server that cannot be reached is no obstacle then.
"""

import contextlib
import email.utils
import hashlib
import http.client
import json
import os
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse
from urllib.request import url2pathname

import torch
from mmengine.logging import print_log

import lvt_dense
from lvt_dense.utils.errors import UserError
from lvt_dense.utils.files import write_atomically
from lvt_dense.utils.progress import tqdm

from .records import WeightFile, suffix_of

CACHE = 'LVT_DENSE_CACHE'
MIRROR = 'LVT_DENSE_MIRROR'
TIMEOUT = 20.0  # seconds without an answer, or without a byte
CHECK_TIMEOUT = 5.0  # the same, where a cached file is there to fall back on
PROBE_TIMEOUT = 3.0  # the same, where a training can do without the file
PAUSES = (1.0, 2.0, 4.0)  # seconds before the second, third, ... attempt
_CHUNK = 1 << 18
_HEAD = 512  # bytes that tell a web page from a file
# Servers give times in whole seconds: a file that was changed in the second
# of its download may be changed once more without a trace.
_CLOCK = 2.0
_is_offline = False  # no publisher could be reached


class DownloadError(UserError):
    """A file that is not in the cache and cannot be fetched."""


class _TransientError(Exception):
    """A fault that may be gone at the next attempt."""


class _OverrunError(_TransientError):
    """More was asked for than the file has: what is there is of no use."""


class _UnchangedError(Exception):
    """The server still has the file that is in the cache."""


def weights_dir() -> Path:
    """Return the folder of the cache.

    ``$LVT_DENSE_CACHE``; by default ``checkpoints`` in torch's hub folder,
    which follows ``$TORCH_HOME``.
    """
    folder = os.environ.get(CACHE)
    if folder:
        return Path(folder).expanduser()
    return Path(torch.hub.get_dir(), 'checkpoints')


def record_of(url: str) -> WeightFile:
    """Make a record for a URL of which nothing else is known."""
    name = unquote(urlparse(url).path).rsplit('/', 1)[-1]
    stem = name.removesuffix(suffix_of(url)) or 'file'
    digest = hashlib.sha256(url.encode()).hexdigest()[:10]
    return WeightFile(name=f'{stem}-{digest}', url=url, layout='', source=url)


def path_of(record: WeightFile) -> Path:
    """Return the path that a file has, or would have, in the cache."""
    return weights_dir() / record.file_name


def fetch(record: WeightFile) -> Path:
    """Download a file, unless it is in the cache already.

    The variable ``LVT_DENSE_MIRROR`` names a folder or URL that has the files
    under their names in the cache, and is asked first. Proxies are those of
    the usual variables (``https_proxy``, ``no_proxy``).

    Args:
        record: What is known of the file.

    Returns:
        Its path in the cache.

    Raises:
        DownloadError: The file cannot be had; the message says where to put
            it by hand.
    """
    path = path_of(record)
    with _lock(path):
        faults = []
        if _is_damaged(path):
            _log(f'{path} is damaged, and fetched again')
            faults.append(f'the cache, where {path} is damaged')
        elif path.is_file():
            return _refresh(record, path)
        for url in _sources(record):
            try:
                _download(url, path, record)
                return path
            except DownloadError as error:
                faults.append(f'{url} ({error})')
    raise DownloadError(_advice(record, path, faults))


def is_available(record: WeightFile) -> bool:
    """Tell whether a file is in the cache, or its server answers.

    One short attempt is made, and nothing is downloaded. Publishers that
    cannot be reached are not asked again by this process, nor are others.
    """
    global _is_offline
    if path_of(record).is_file():
        return True
    for url in _sources(record):
        is_origin = url == record.url
        if is_origin and _is_offline:
            continue
        found = _probe(url)
        if found:
            return True
        _is_offline = _is_offline or (is_origin and found is None)
    return False


def _probe(url: str) -> bool | None:
    """Tell whether a server has a file; None if it does not answer."""
    if url.startswith('file:'):
        path = url2pathname(unquote(urlparse(url).path))
        return Path(path).is_file()
    try:
        # Not all servers take a HEAD; the body of this is not read.
        request = _request(url, {})
        opener = urllib.request.build_opener()
        opener.open(request, timeout=PROBE_TIMEOUT).close()
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except (OSError, http.client.HTTPException, DownloadError):
        return None
    return True


def _advice(record: WeightFile, path: Path, faults: list[str]) -> str:
    page = f' from {record.page}' if record.page else ''
    return (
        f'{record.name} cannot be fetched from {", nor from ".join(faults)}: '
        f'get the file by other means{page} and put it at {path}, or set '
        f'{MIRROR} to a folder or URL that has {record.file_name}'
    )


def _sources(record: WeightFile) -> Iterator[str]:
    mirror = os.environ.get(MIRROR)
    if mirror:
        if '://' not in mirror:
            mirror = Path(mirror).expanduser().resolve().as_uri()
        yield f'{mirror.rstrip("/")}/{record.file_name}'
    yield record.url


def _is_damaged(path: Path) -> bool:
    """Whether a file is no longer what was downloaded."""
    expected = (_note_of(path) or {}).get('sha256')
    return bool(expected and path.is_file() and _sha256(path) != expected)


def _refresh(record: WeightFile, path: Path) -> Path:
    """Return a cached file, downloaded anew if the server has another one."""
    note = _note_of(path)
    if note is None or record.sha256:
        fault = _fault_of(path, record) if note is None else None
        if fault:
            raise DownloadError(
                f'{path} is not {record.name}: {fault}; delete it, and it '
                'will be fetched again'
            )
        return path
    try:
        _attempt(note['url'], path, record, note)
    except _UnchangedError:
        pass
    except (DownloadError, _TransientError, OSError) as error:
        _log(f'{path} is used as it is: {note["url"]} does not answer '
             f'({error})')  # fmt: skip
    return path


def _download(url: str, path: Path, record: WeightFile) -> None:
    """Download in several attempts; what has arrived is not lost."""
    _log(f'fetching {record.name} from {url} to {path}')
    partial = _partial(path)
    for pause in (*PAUSES, None):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _attempt(url, path, record)
            return
        except _TransientError as error:
            if isinstance(error, _OverrunError):
                partial.unlink(missing_ok=True)
            if pause is None:
                raise DownloadError(str(error)) from error
            time.sleep(pause)
        except OSError as error:  # of the disk: those of the network are gone
            raise DownloadError(
                f'{path.parent} cannot be written: {error.strerror}; '
                f'{CACHE} names another folder'
            ) from error


def _attempt(
    url: str,
    path: Path,
    record: WeightFile,
    note: dict[str, Any] | None = None,
) -> None:
    """Send one request; ``note`` is that of the cached file, if any."""
    partial = _partial(path)
    if note:
        partial.unlink(missing_ok=True)
    done = partial.stat().st_size if partial.is_file() else 0
    headers = _conditions(note) if note else _rest(path, done)
    timeout = CHECK_TIMEOUT if note else TIMEOUT
    with _classify_errors():
        # A new opener reads the proxy variables anew.
        opener = urllib.request.build_opener()
        response = opener.open(_request(url, headers), timeout=timeout)
    with response:
        new = _note(url, response)
        if note and _is_same(new, note):
            raise _UnchangedError
        if response.status != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0
        elif new['length']:
            new['length'] += done
        write_atomically(_note_path(partial), json.dumps(new))
        with _classify_errors(), open(partial, 'ab' if done else 'wb') as file:
            _copy(response, file, done, record.name)
    expected, size = new['length'], partial.stat().st_size
    if expected and size < expected:
        raise _TransientError(f'only {size} of {expected} bytes arrived')
    _finish(partial, path, record, new)


def _finish(
    partial: Path, path: Path, record: WeightFile, note: dict[str, Any]
) -> None:
    """Check a complete file, and give it its name."""
    fault = _fault_of(partial, record)
    if fault:
        partial.unlink()
        raise DownloadError(fault)
    note['sha256'] = _sha256(partial)
    with open(partial, 'rb') as file:
        os.fsync(file.fileno())
    _note_path(path).unlink(missing_ok=True)
    os.replace(partial, path)
    _note_path(partial).unlink(missing_ok=True)
    write_atomically(_note_path(path), json.dumps(note, indent=2) + '\n')


def _copy(source: Any, target: Any, done: int, title: str) -> None:
    length = source.length if hasattr(source, 'length') else None
    head = b''
    with tqdm(
        desc=title,
        total=length and length + done,
        initial=done,
        unit='B',
        unit_scale=True,
        unit_divisor=1024,
    ) as bar:
        while chunk := source.read(_CHUNK):
            if len(head) < _HEAD and not done:
                head += chunk[:_HEAD]
                _refuse_page(head, source.headers)
            target.write(chunk)
            bar.update(len(chunk))


def _refuse_page(head: bytes, headers: Any) -> None:
    is_page = headers.get_content_type() in ('text/html', 'text/xml')
    if is_page or head.lstrip().startswith(b'<'):
        raise DownloadError('the server sent a web page instead of the file')


def _fault_of(path: Path, record: WeightFile) -> str | None:
    """Say what is wrong with a file, by its record and format."""
    size = path.stat().st_size
    if record.size and size != record.size:
        return f'it has {size} bytes instead of {record.size}'
    if record.sha256:
        digest = _sha256(path)
        if not digest.startswith(record.sha256):
            return f'its SHA-256 sum is {digest}, not {record.sha256}...'
    with open(path, 'rb') as file:
        head = file.read(_HEAD)
    if head.lstrip().startswith(b'<'):
        return 'it is a web page'
    if head.startswith(b'PK') and not zipfile.is_zipfile(path):
        return f'it is incomplete, with {size} bytes'
    return None if size else 'it is empty'


# ------------------------------------------------------------------- requests
def _request(url: str, headers: dict[str, str]) -> urllib.request.Request:
    agent = f'lvt_dense/{lvt_dense.__version__}'
    try:
        return urllib.request.Request(
            url, headers={'User-Agent': agent, **headers}
        )
    except ValueError as error:
        raise DownloadError(str(error)) from error


def _rest(path: Path, done: int) -> dict[str, str]:
    """Make headers that ask for the rest of a file that has not changed."""
    partial = _partial(path)
    note = _note_of(partial) or {}
    validator = note.get('etag') or note.get('modified')
    if not done or not validator or str(validator).startswith('W/'):
        return {}
    return {'Range': f'bytes={done}-', 'If-Range': validator}


def _conditions(note: dict[str, Any]) -> dict[str, str]:
    """Make headers that ask for a file only if it has changed."""
    headers = {}
    if note.get('etag'):
        headers['If-None-Match'] = note['etag']
    elif note.get('modified') and note.get('is_settled'):
        headers['If-Modified-Since'] = note['modified']
    return headers


def _note(url: str, response: Any) -> dict[str, Any]:
    headers = response.headers
    modified, now = headers.get('Last-Modified'), headers.get('Date')
    length = headers.get('Content-Length')
    return dict(
        url=url,
        etag=headers.get('ETag'),
        modified=modified,
        is_settled=_seconds_between(modified, now) >= _CLOCK,
        length=int(length) if length else None,
    )


def _is_same(new: dict[str, Any], old: dict[str, Any]) -> bool:
    """Whether the headers of two responses are of one file for certain."""
    if new['length'] != old.get('length'):
        return False
    if new['etag'] or old.get('etag'):
        return new['etag'] == old.get('etag')
    return (
        bool(new['modified'])
        and new['modified'] == old.get('modified')
        and bool(old.get('is_settled'))
    )


def _seconds_between(earlier: str | None, later: str | None) -> float:
    """Time between two dates of HTTP headers; 0 if one is not there."""
    try:
        first, last = (
            email.utils.parsedate_to_datetime(text or '')
            for text in (earlier, later)
        )
        return (last - first).total_seconds()
    except (TypeError, ValueError):
        return 0.0


@contextlib.contextmanager
def _classify_errors() -> Iterator[None]:
    """Sort connection errors into transient and permanent ones.

    Raises:
        _TransientError: Another attempt may succeed.
        DownloadError: It would not.
        _UnchangedError: The server has nothing new.
    """
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.NOT_MODIFIED:
            raise _UnchangedError from error
        text = f'HTTP {error.code} {error.reason}'
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            raise _OverrunError(text) from error
        if error.code >= 500 or error.code in (408, 429):
            raise _TransientError(text) from error
        raise DownloadError(text) from error
    except urllib.error.URLError as error:
        reason = error.reason
        text = str(getattr(reason, 'strerror', None) or reason)
        if isinstance(reason, ConnectionError) and not isinstance(
            reason, ConnectionRefusedError
        ):
            raise _TransientError(text) from error
        raise DownloadError(text) from error
    except (TimeoutError, ConnectionError, http.client.HTTPException) as error:
        text = str(error) or type(error).__name__
        raise _TransientError(text) from error


# ---------------------------------------------------------------------- files
def _partial(path: Path) -> Path:
    return path.with_name(f'{path.name}.partial')


def _note_path(path: Path) -> Path:
    return path.with_name(f'{path.name}.json')


def _note_of(path: Path) -> dict[str, Any] | None:
    try:
        return json.loads(_note_path(path).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[None]:
    """Let one process at a time fetch a file; the others wait, and find it."""
    with contextlib.ExitStack() as stack:
        # There are no such locks on Windows and on some file systems; each
        # process fetches the file there. A full cache may be read-only.
        with contextlib.suppress(ImportError, OSError):
            import fcntl

            path.parent.mkdir(parents=True, exist_ok=True)
            lock = path.with_name(f'.{path.name}.lock')
            file = stack.enter_context(open(lock, 'w'))
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _log(message: str) -> None:
    print_log(message, logger='current')
