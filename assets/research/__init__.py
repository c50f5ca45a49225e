"""The stage research: a question becomes a report whose every claim is cited and can be checked."""
