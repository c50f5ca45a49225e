"""General edit operators by family. Importing this package registers all of them."""

from . import conditions, numbers
from .base import Proposal, Site, proposals

__all__ = ["Proposal", "Site", "conditions", "numbers", "proposals"]
