"""Tickets of a help desk: what state they are in, who has them, and when they are due."""

from .desk import Desk, Unknown
from .hours import WorkingHours
from .search import parse_query
from .ticket import NotAllowed, Status, Ticket

__all__ = ["Desk", "NotAllowed", "Status", "Ticket", "Unknown", "WorkingHours", "parse_query"]
