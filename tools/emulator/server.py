"""The process: one port, every patch in its order, an end within two seconds that leaves no bootstrap behind."""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import threading

from emulator import settings


def _check_port() -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.HOST, settings.PORT))
        except OSError as error:
            sys.exit(f"emulator: cannot listen on {settings.HOST}:{settings.PORT}: {error.strerror}. "
                     "Stop what runs there, or choose another port with GATEWAY_PORT.")


def _patched_app():
    try:
        from importlib.metadata import version
        from ministack import app as ministack
    except ImportError as error:
        sys.exit(f"emulator: MiniStack is not installed ({error}). See tools/emulator/README.md.")
    if version("ministack") != "1.5.33":
        sys.exit(f"emulator: it needs MiniStack 1.5.33, whose insides it patches; this is {version('ministack')}.")
    from emulator import (
        access, admission, bus, control, creation, deletion, disks, existence, functions, instances, invocations, machines, metrics,
        network, queues, reading, scaling, schedules, secret, templates)

    # The bus comes first: all others tell their events through it.
    for module in (bus, queues, functions, invocations, schedules, instances, machines, disks, scaling, network, secret, admission,
                   existence, deletion, creation, reading, metrics, templates, access):
        module.install()
    return control.app(ministack.app)


async def _serve(app) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"{settings.HOST}:{settings.PORT}"]
    config.keep_alive_timeout = 75
    config.graceful_timeout = 0.3
    config.shutdown_timeout = 1
    config.loglevel = "WARNING"
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, _ending, end)
    await serve(app, config, shutdown_trigger=end.wait)


def _ending(end: asyncio.Event) -> None:
    from emulator import functions

    functions.end_all()
    # Whatever still holds on, a waiting custom resource or an open connection, is not waited for.
    threading.Timer(1.2, _exit).start()
    end.set()


def _exit() -> None:
    from emulator import functions

    functions.end_all()  # one may have been started while the others ended
    sys.stdout.flush()
    os._exit(0)


def main() -> None:
    _check_port()
    logging.basicConfig(stream=sys.stdout, format="%(asctime)s %(levelname)s %(name)s: %(message)s", datefmt="%H:%M:%S",
                        level=os.environ.get("LOG_LEVEL", "INFO").upper())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    app = _patched_app()
    asyncio.run(_serve(app))
    _exit()
