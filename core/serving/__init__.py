"""Where models are served: how much memory each takes, and which share a card. Not for asking models (`core.chat`)."""
