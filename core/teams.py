"""The default team. Not in `core.events`, so that a command can use it without importing pydantic."""

import uuid

DEFAULT_TEAM = uuid.UUID("00000000-0000-0000-0000-000000000001")
