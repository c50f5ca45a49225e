"""The channels of notices that the settings name."""

from assets.platform import Platform
from assets.results.callback import open_callback
from assets.results.mail import open_mail
from assets.results.notices import Channel, Told, note_new, send_due
from core.settings import Settings


def open_channels(settings: Settings) -> list[Channel]:
    found: list[Channel | None] = [open_callback(settings), open_mail(settings)]
    return [channel for channel in found if channel is not None]


def tell(platform: Platform) -> list[Told]:
    """Notes and sends what is new and due at each channel."""
    done: list[Told] = []
    for channel in open_channels(platform.settings):
        note_new(platform.database, platform.log, channel)
        done += send_due(platform.database, channel)
    return done
