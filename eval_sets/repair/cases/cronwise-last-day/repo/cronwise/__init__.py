"""Cron expressions: parse them, and find the next time they fire."""

from cronwise.expression import Expression, parse
from cronwise.schedule import next_after, upcoming

__all__ = ['Expression', 'parse', 'next_after', 'upcoming']
