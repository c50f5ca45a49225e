"""Isolated processes: one protocol, a backend per file.

`open_sandbox(backend)` picks the backend ("auto": gVisor if `runsc` is there, else bubblewrap) or
raises `SandboxUnavailable` with what to install.
"""
