"""Drive headless Chromium through ChromeDriver, where both are installed."""

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from helpers.processes import free_port

FLAGS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
)
KEYS = dict(tab='\ue004', space=' ', enter='\ue007', left='\ue012')
_ELEMENT = 'element-6066-11e4-a52e-4f735466cecf'  # the protocol's own key


class Browser:
    """A window.

    Args:
        url: Address of the driver's session.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, address: str) -> None:
        """Load a page."""
        _send(f'{self.url}/url', dict(url=address))

    def run(self, script: str) -> Any:
        """Run a script, and return what it returns."""
        body = dict(script=script, args=[])
        return _send(f'{self.url}/execute/sync', body)

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in an input, as a person does."""
        where = {'using': 'css selector', 'value': selector}
        found = _send(f'{self.url}/element', where)
        body = dict(text=str(path))
        _send(f'{self.url}/element/{found[_ELEMENT]}/value', body)

    def press(self, *keys: str) -> None:
        """Press and release keys, one after another.

        Args:
            keys: Characters, or names of :data:`KEYS`.
        """
        actions = [
            dict(type=kind, value=KEYS.get(key, key))
            for key in keys
            for kind in ('keyDown', 'keyUp')
        ]
        source = dict(type='key', id='keyboard', actions=actions)
        _send(f'{self.url}/actions', dict(actions=[source]))

    def emulate(self, what: str, **params: Any) -> None:
        """Call a method of DevTools' domain Emulation.

        Args:
            what: Its name.
            **params: Its parameters.
        """
        body = dict(cmd=f'Emulation.{what}', params=params)
        _send(f'{self.url}/goog/cdp/execute', body)

    def wait_for(self, script: str, seconds: float = 90) -> Any:
        """Wait until a script returns something, and return it."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := self.run(script):
                return found
            time.sleep(0.1)
        raise AssertionError(f'{script}: nothing after {seconds} s')


@contextmanager
def open_browser(profile: Path) -> Iterator[Browser]:
    """Open a window.

    Args:
        profile: Empty folder for the browser.
    """
    driver, program = shutil.which('chromedriver'), shutil.which('chromium')
    if driver is None or program is None:
        pytest.skip('there is no Chromium with ChromeDriver')
    port = free_port()
    process = subprocess.Popen([driver, f'--port={port}'], stdout=-3)
    base = f'http://127.0.0.1:{port}'
    try:
        _wait(base)
        options = dict(
            binary=program, args=[*FLAGS, f'--user-data-dir={profile}']
        )
        wanted = dict(alwaysMatch={'goog:chromeOptions': options})
        session = _send(f'{base}/session', dict(capabilities=wanted))
        url = f'{base}/session/{session["sessionId"]}'
        try:
            yield Browser(url)
        finally:
            _send(url, method='DELETE')
    finally:
        process.terminate()
        process.wait()


def _wait(base: str) -> None:
    for _ in range(200):
        try:
            _send(f'{base}/status', method='GET')
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError('ChromeDriver does not answer')


def _send(url: str, body: dict | None = None, method: str = 'POST') -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, method=method)
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.load(answer)['value']
