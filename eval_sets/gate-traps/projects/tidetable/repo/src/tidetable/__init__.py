"""Opening hours and reminders of a marina."""
