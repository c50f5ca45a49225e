"""Programs that exceed a limit, run inside a sandbox by the conformance suite and the probes.

Each stops by itself after several times the limits of `sandbox.conformance.SMALL`, so that it does not take down the
machine where a limit does not hold. Those that wait do so for the seconds given as their first argument, 20 by default.
"""

_PATIENCE = """
import sys
patience = float(sys.argv[1]) if len(sys.argv) > 1 else 20.0
"""

SLEEP = (
    _PATIENCE
    + """
import time
time.sleep(patience)
"""
)

BURN_CPU = (
    _PATIENCE
    + """
import time
end = time.process_time() + patience / 2
while time.process_time() < end: pass
"""
)

BURN_CPU_IN_CHILDREN = (
    _PATIENCE
    + """
import os, time
for _ in range(int(2.5 * patience)):
    if os.fork() == 0:
        end = time.process_time() + 0.2
        while time.process_time() < end: pass
        os._exit(0)
    os.wait()
"""
)

FILL_MEMORY = (
    _PATIENCE
    + """
import time
kept = []
for _ in range(1024): kept.append(bytearray(b"x" * (1 << 20)))
time.sleep(patience / 4)
"""
)

FILL_MEMORY_IN_CHILDREN = (
    _PATIENCE
    + """
import os, time
for _ in range(8):
    if os.fork() == 0:
        kept = b"x" * (48 << 20)
        time.sleep(patience)
        os._exit(0)
time.sleep(patience)
"""
)

FORK_BOMB = (
    _PATIENCE
    + """
import os, time
for _ in range(8):
    try: os.fork()
    except OSError: pass
time.sleep(patience)
"""
)

MANY_THREADS = """
import os, threading, time
started = 0
threading.stack_size(65536)
try:
    for started in range(1000):
        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()
except RuntimeError: pass
print(started, flush=True)
time.sleep(0.5)
os._exit(0)
"""

GIANT_FILE = """
with open("big", "wb") as file:
    for _ in range(1024): file.write(b"x" * 65536)
"""

GIANT_FILE_DEAF = """
import time
file = open("big", "wb", buffering=0)
end = time.monotonic() + 20
while time.monotonic() < end:
    try:
        if file.tell() < 64 << 20: file.write(b"x" * 65536)
    except OSError: pass
"""

MANY_FILES = (
    _PATIENCE
    + """
import time
for number in range(256):
    with open(f"f{number}", "wb") as file: file.write(b"x" * (1 << 20))
time.sleep(patience / 4)
"""
)

DELETED_OPEN_FILES = (
    _PATIENCE
    + """
import os, time
kept = []
for _ in range(40):
    file = open("f", "wb"); os.unlink("f")
    file.write(b"x" * (4 << 20)); file.flush(); kept.append(file)
time.sleep(patience)
"""
)

FILL_TEMPORARY_FOLDERS = """
import time
written = 0
for folder in ("/tmp", "/dev/shm"):
    try:
        for number in range(128):
            with open(f"{folder}/{number}", "wb") as file: file.write(b"x" * (4 << 20))
            written += 4
    except OSError: pass
print(written, flush=True)
time.sleep(2)
"""

MEMORY_OF_NO_PROCESS = """
import os, time
written = 0
try:
    for _ in range(96):
        os.write(os.memfd_create("attack"), b"x" * (4 << 20))
        written += 4
except OSError: pass
print(written, flush=True)
time.sleep(0.5)
"""

EMPTY_FILES = """
import os, sys
os.chdir(sys.argv[1])
made = 0
try:
    for made in range(int(sys.argv[2])): os.mknod(str(made))  # a regular file, in one system call
except OSError: pass
print(made, flush=True)
"""

DESCRIPTORS = """
import os
opened = 0
try:
    for opened in range(100_000): os.dup(0)
except OSError: pass
print(opened, flush=True)
"""


def endless_output(stream: str) -> str:
    """A program that writes 20 MB to `stream`, which is "stdout" or "stderr"."""
    return f"import sys\nfor _ in range(20_000): sys.{stream}.write('x' * 1000)"
