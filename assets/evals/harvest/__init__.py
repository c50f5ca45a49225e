"""Proposed cases: from accepted fixes of this platform, and from fixes between releases of packages."""
