"""Code of teams: it runs in the sandbox, spoken to in lines of JSON. Not imported by the gateway."""
