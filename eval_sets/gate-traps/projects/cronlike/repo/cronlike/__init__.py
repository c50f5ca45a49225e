from .agenda import Agenda
from .schedule import Schedule, ScheduleError, parse_field

__all__ = ["Agenda", "Schedule", "ScheduleError", "parse_field"]
