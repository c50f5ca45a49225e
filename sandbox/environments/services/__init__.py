"""Services that tests need, such as a database: declared by a repository, started in the sandbox beside its tests.

They listen on loopback of the command's own network namespace and end with the command. Their programs are those of
this machine; nothing is downloaded.
"""

from .declared import Postgresql, Redis, ServiceDeclarations
from .inside import CONTROL
from .mentioned import mentioned_services
from .prepare import Services, open_services, problem_of

__all__ = [
    "CONTROL",
    "Postgresql",
    "Redis",
    "ServiceDeclarations",
    "Services",
    "mentioned_services",
    "open_services",
    "problem_of",
]
