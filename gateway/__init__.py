"""HTTP in: signed webhooks and the tasks API, made durable before they are acknowledged."""
