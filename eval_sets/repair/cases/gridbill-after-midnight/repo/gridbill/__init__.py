"""Bills for electricity: from readings of a meter over a tariff to amounts of money."""

from .bands import Band, band_of
from .bill import Bill, Line, make_bill
from .readings import BadReadings, Reading, used
from .tariff import Step, Tariff, cost_of

__all__ = ["BadReadings", "Band", "Bill", "Line", "Reading", "Step", "Tariff", "band_of", "cost_of", "make_bill", "used"]
