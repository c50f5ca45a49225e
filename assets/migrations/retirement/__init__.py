"""Models taken out of use: deadlines, the archive of their vectors, the way back."""
