"""Tests run in the sandbox: the worker inside, its client on the host, and the suite on the unchanged commit."""
