"""The services' REST APIs, read page by page to import tickets: one module per service, of the same shape."""

from assets.context.tickets.apis.bitbucket import BitbucketApi
from assets.context.tickets.apis.gitea import GiteaApi
from assets.context.tickets.apis.github import GitHubApi
from assets.context.tickets.apis.gitlab import GitLabApi
from assets.context.tickets.apis.jira import JiraApi
from assets.context.tickets.apis.position import Position, read_page
from assets.context.tickets.apis.protocol import Page, TicketApi
from assets.context.tickets.apis.reader import ApiError, Patience, Reader
from core.tickets import Service

__all__ = ["APIS", "ApiError", "Page", "Patience", "Position", "Reader", "TicketApi", "read_page"]

APIS: dict[Service, TicketApi] = {
    Service.GITHUB: GitHubApi(),
    Service.GITLAB: GitLabApi(),
    Service.GITEA: GiteaApi(),
    Service.BITBUCKET: BitbucketApi(),
    Service.JIRA: JiraApi(),
}
