"""The tests run in the sandbox: the worker there, the host's end of it, and the suite on the unchanged commit."""
