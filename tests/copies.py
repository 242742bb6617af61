"""Processes of their own, made as copies of this one, which has loaded everything: a new one spends seconds on imports.

A copy has its own number, memory and signals, and dies as any other. What only a new process shows (how the program
starts, what it loads) is tested with `subprocess`.
"""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
import types


class Copy:
    "A copy at work; it answers to what the tests ask of `subprocess.Popen`."

    def __init__(self, pid: int, out: int):
        self.pid, self.returncode, self.stdout = pid, None, open(out, encoding="utf-8")

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        end = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > end:
                raise subprocess.TimeoutExpired("a copy of this process", timeout)
            time.sleep(0.005)
        return self.returncode

    def send_signal(self, which: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, which)


def start_copy(code: str, *words) -> Copy | subprocess.Popen:
    "Run `python -c CODE WORDS`, what it says and complains of in `stdout`; in a new process where none can be copied."
    words = [str(w) for w in words]
    if not hasattr(os, "fork"):
        line = [sys.executable, "-c", code, *words]
        pipes = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return subprocess.Popen(line, **pipes, text=True, encoding="utf-8")
    sys.stdout.flush()
    sys.stderr.flush()
    out, into = os.pipe()
    if pid := os.fork():
        os.close(into)
        return Copy(pid, out)
    status = 1
    try:
        status = _work_alone(code, words, into)
    finally:
        os._exit(status)


def finish(p: Copy | subprocess.Popen, timeout: float = 600) -> str:
    "Wait for its end, which comes by force after so many seconds; all that it said."
    late = threading.Timer(timeout, p.send_signal, (signal.SIGTERM,))
    late.start()
    try:
        said = p.stdout.read()
        p.wait(timeout)
    finally:
        late.cancel()
        late.join()
        p.stdout.close()
    return said


def _work_alone(code: str, words: list[str], into: int) -> int:
    "What the copy does: speak into the pipe, take signals as a new process does, and end with a number."
    os.dup2(into, 1)
    os.dup2(into, 2)
    sys.stdout = open(1, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)
    sys.argv = ["-c", *words]
    for s, how in ((signal.SIGINT, signal.default_int_handler), (signal.SIGTERM, signal.SIG_DFL)):
        signal.signal(s, how)
    _forget_helpers()
    sys.modules["__main__"] = main = types.ModuleType("__main__")
    try:
        exec(compile(code, "<the work of a copy>", "exec"), vars(main))
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


def _forget_helpers() -> None:
    "Other processes belong to the one that started them."
    multiprocessing.process._children = set()
    if workers := sys.modules.get("motionbook.data.workers"):
        workers._new_processes.cache_clear()
