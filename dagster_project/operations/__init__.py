"""Operating a platform: what would hurt it in production, retention, backup and restore, machines it needs."""
