"""The types that come with Penstock, each a small service by itself."""

from objects.types.register import Register

NATIVE = {one.spec.name: one() for one in (Register,)}
