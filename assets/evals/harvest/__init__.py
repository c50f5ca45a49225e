"""Proposes cases: from fixes that this platform's users accepted, and from fixes between releases of packages."""
