"""Price quotes for parcels, from a carrier's rate card."""

from parcelquote.money import Money
from parcelquote.parcel import Parcel
from parcelquote.quote import Quote, QuoteRequest, QuoteService

__all__ = ["Money", "Parcel", "Quote", "QuoteRequest", "QuoteService"]
