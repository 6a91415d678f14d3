"""A process with everything imported, which forks to run commands.

``python -m helpers.warm SOCKET`` imports the stack once. A command then
starts in milliseconds: the client, :data:`CLIENT`, hands over its arguments,
folder, environment and standard streams, and gets the exit status.
"""

import json
import os
import runpy
import signal
import socket
import sys
import traceback
from pathlib import Path

from helpers.processes import free_port

CLIENT = """\
#!{python} -IS
import json, os, socket, sys
with socket.socket(socket.AF_UNIX) as server:
    server.connect(os.environ['LVT_DENSE_WARM'])
    order = dict(
        program=os.path.basename(sys.argv[0]),
        args=sys.argv[1:],
        folder=os.getcwd(),
        environment=dict(os.environ),
    )
    socket.send_fds(server, [b'x'], [0, 1, 2])
    server.sendall(json.dumps(order).encode())
    server.shutdown(socket.SHUT_WR)
    sys.exit(int(server.makefile().read() or 1))
"""
DEPTH, DEEPEST = 'LVT_DENSE_WARM_DEPTH', 4
PROGRAMS = ('lvt-dense', 'python', 'torchrun', 'pip', 'make', 'git')


def write_clients(folder: Path) -> None:
    """Write an executable for each program that the server runs."""
    folder.mkdir(parents=True)
    for name in (*PROGRAMS, 'page'):
        path = folder / name
        path.write_text(CLIENT.format(python=sys.executable))
        path.chmod(0o755)


def serve(address: str) -> None:
    """Fork for every connection, until the process is ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leave no zombies
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print('ready', flush=True)
        while True:
            connection, _ = listener.accept()
            if os.fork() == 0:
                listener.close()
                _answer(connection)
            connection.close()


def _answer(connection: socket.socket) -> None:
    """Run what a client asks for, and end this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _, streams, _, _ = socket.recv_fds(connection, 1, 3)
    order = json.loads(connection.makefile().read())
    depth = int(order['environment'].get(DEPTH, 0)) + 1
    order['environment'][DEPTH] = str(depth)
    if depth > DEEPEST:
        sys.exit(f'{order["program"]} calls itself')
    worker = os.fork()
    if worker == 0:
        connection.close()
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        os.chdir(order['folder'])
        os.environ.clear()
        os.environ.update(order['environment'])
        _end(_run(order['program'], order['args']))
    _, status = os.waitpid(worker, 0)
    connection.sendall(str(os.waitstatus_to_exitcode(status) % 256).encode())
    os._exit(0)


def _end(status: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def _run(program: str, args: list[str]) -> int:
    from helpers import pretend

    try:
        if program in ('pip', 'make', 'git'):
            return getattr(pretend, program)(args)
        if program == 'page':
            from helpers.run_page import run_page

            return run_page(Path(args[0]))
        if program == 'torchrun':
            args = _become_rank_zero(args)
        _python(['-m', 'lvt_dense', *args] if program == 'lvt-dense' else args)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _python(args: list[str]) -> None:
    """Do what the interpreter does with its arguments."""
    first, *rest = args or ['-']
    sys.path[:0] = ['' if first in ('-m', '-c', '-') else _folder_of(first)]
    if first == '-m':
        sys.argv = rest
        runpy.run_module(rest[0], run_name='__main__', alter_sys=True)
    elif first in ('-c', '-'):
        code = rest.pop(0) if first == '-c' else sys.stdin.read()
        sys.argv = [first, *rest]
        exec(compile(code, '<string>', 'exec'), {'__name__': '__main__'})
    else:
        sys.argv = args
        runpy.run_path(first, run_name='__main__')


def _folder_of(script: str) -> str:
    return str(Path(script).resolve().parent)


def _become_rank_zero(args: list[str]) -> list[str]:
    """Act as the only process of a launcher; return the script's part."""
    port = free_port()
    os.environ.update(
        RANK='0',
        LOCAL_RANK='0',
        WORLD_SIZE='1',
        LOCAL_WORLD_SIZE='1',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
    )
    return args[next(i for i, a in enumerate(args) if a[:1] != '-') :]


def _load() -> None:
    """Import what commands import, and cut runs down."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(0)  # its threads do not survive a fork
    from lvt_dense.compat.stack import import_stack

    import_stack()
    import mmseg.apis  # noqa: F401
    from helpers.shrink import shrink_runs, shrink_scenes

    import lvt_dense.apis.test
    import lvt_dense.apis.train
    import lvt_dense.apis.visualize  # noqa: F401

    shrink_runs()
    shrink_scenes()
    # configs are dumped as they are: the beautifier takes longer than a run
    from yapf.yapflib import yapf_api

    yapf_api.FormatCode = lambda text, **_: (text, True)


if __name__ == '__main__':
    _load()
    serve(sys.argv[1])
