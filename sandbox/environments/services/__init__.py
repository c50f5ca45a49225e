"""Services that tests need, such as a database: declared by a repository, started in the sandbox beside its tests.

They listen on loopback of the command's own network namespace and end with the command. Their programs are those of
this machine; nothing is downloaded.
"""

from .declared import Postgresql, Redis, ServiceDeclarations
from .prepare import Services, open_services

__all__ = ["Postgresql", "Redis", "ServiceDeclarations", "Services", "open_services"]
