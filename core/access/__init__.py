"""Who may do what: teams, their users, API tokens, people of an OIDC issuer, and the audit log.

Everything works in a transaction of the caller: of a team (`Database.team`), or of the platform (`Database.system`) for
what concerns several teams. Not for webhooks, which are signed: see `core.signatures`.
"""
