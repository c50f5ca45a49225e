"""The default team. Apart from `core.events`, so that a command can name it without loading every model."""

import uuid

DEFAULT_TEAM = uuid.UUID("00000000-0000-0000-0000-000000000001")
