"""Tokens for Bitbucket Cloud, and how its API and its git take them. App passwords ended in 2026.

An access token, of a repository, project or workspace, is an account of its own. An API token acts as a person, and is
written `user@example.org:TOKEN`, with the address of that person's Atlassian account
(https://support.atlassian.com/bitbucket-cloud/docs/using-api-tokens/).
"""

import base64

from core.git import Credential

ACCESS_TOKEN_USER = "x-token-auth"  # noqa: S105  names that git gives with a token
API_TOKEN_USER = "x-bitbucket-api-token-auth"  # noqa: S105


def credential_of(token: str) -> Credential:
    """The credential that a setting's token is."""
    email, colon, secret = token.rpartition(":")
    return Credential(email, secret) if colon else Credential(ACCESS_TOKEN_USER, token)


def api_token(credential: Credential) -> str:
    """The token, in the form of a setting. Only a user name that is an address makes it a person's."""
    return f"{credential.username}:{credential.password}" if "@" in credential.username else credential.password


def git_credential(credential: Credential) -> Credential:
    """What git is given: for an API token, the name that stands for it, since an address is none."""
    return Credential(API_TOKEN_USER, credential.password) if "@" in credential.username else credential


def is_of_person(token: str) -> bool:
    return ":" in token


def authorization(token: str) -> str:
    """The header `Authorization` of the API."""
    return f"Basic {base64.b64encode(token.encode()).decode()}" if is_of_person(token) else f"Bearer {token}"
