"""The last word on a patch: verified on a clean checkout, then judged by the gate."""
