"""The dialect of Linear's GraphQL API, at `/graphql`: the part of its published schema that Penstock uses, executed.

A board is a team. Its people in the role `edit` or `admin` are members of the workspace, those in `read` are guests.
"""

import uuid
from typing import Any

from deploy.fake_forge.boards import WAYS, Board, Said, Ticket
from deploy.fake_forge.exchange import Call, Reply
from deploy.fake_forge.records import NotFound, User

NAME = "linear"
PREFIX = "/graphql"
_SPACE = uuid.UUID("3d1f6f52-54c1-4c5b-8a0e-6b6f0c1d2e3f")
_SCHEMA = """
scalar JSONObject
type Query {
  viewer: User!
  teams(filter: TeamFilter, first: Int): TeamConnection!
  users(filter: UserFilter, first: Int): UserConnection!
  comments(filter: CommentFilter, first: Int): CommentConnection!
  issue(id: String!): Issue!
}
type Mutation {
  commentCreate(input: CommentCreateInput!): CommentPayload!
  commentUpdate(id: String!, input: CommentUpdateInput!): CommentPayload!
  attachmentCreate(input: AttachmentCreateInput!): AttachmentPayload!
  issueUpdate(id: String!, input: IssueUpdateInput!): IssuePayload!
}
input IDComparator { eq: ID }
input StringComparator { eq: String }
input TeamFilter { key: StringComparator }
input UserFilter { id: IDComparator }
input CommentFilter { id: IDComparator }
input CommentCreateInput { id: String, issueId: String, body: String }
input CommentUpdateInput { body: String }
input AttachmentCreateInput { issueId: String!, url: String!, title: String!, subtitle: String }
input IssueUpdateInput { stateId: String }
type TeamConnection { nodes: [Team!]! }
type UserConnection { nodes: [User!]! }
type CommentConnection { nodes: [Comment!]! }
type WorkflowStateConnection { nodes: [WorkflowState!]! }
type User { id: ID!, name: String!, active: Boolean!, guest: Boolean!, app: Boolean!, isMe: Boolean! }
type Team { id: ID!, key: String!, states(first: Int): WorkflowStateConnection! }
type WorkflowState { id: ID!, name: String! }
type Issue { id: ID!, identifier: String!, state: WorkflowState!, team: Team! }
type Comment { id: ID!, url: String!, body: String!, user: User }
type CommentPayload { success: Boolean!, comment: Comment! }
type AttachmentPayload { success: Boolean! }
type IssuePayload { success: Boolean!, issue: Issue }
"""


class Refusal(Exception):
    """An error of the API, with Linear's code."""

    def __init__(self, message: str, code: str = "INPUT_ERROR") -> None:
        super().__init__(message)
        self.extensions = {"code": code, "type": code.lower(), "userError": True}


def credential(headers: dict[str, str]) -> str:
    given = headers.get("authorization", "")
    return given if given.startswith("lin_api_") else given.partition(" ")[2]


def problem(status: int, message: str, code: str) -> Reply:
    return Reply(status, {"errors": [{"message": message, "extensions": {"code": code}}]})


def unknown() -> Reply:
    return problem(404, "not found", "INPUT_ERROR")


def answer(call: Call) -> Reply:
    from graphql import build_schema, graphql_sync

    if call.user is None:
        return problem(401, "Authentication required, not authenticated", "AUTHENTICATION_ERROR")
    asked = call.body
    variables = asked.get("variables") or {}
    found = graphql_sync(build_schema(_SCHEMA), asked["query"], _Root(call, call.user), variable_values=variables)
    errors = [error.formatted for error in found.errors or ()]
    if found.data is None and errors and "path" not in errors[0]:
        return Reply(400, {"errors": errors})
    return Reply(200, {"data": found.data} | ({"errors": errors} if errors else {}))


def identity(kind: str, value: object) -> str:
    """The id of something, in the form of a UUID."""
    return str(uuid.uuid5(_SPACE, f"{kind} {value}"))


class _Root:
    """What the fields of the queries and mutations give."""

    def __init__(self, call: Call, asker: User) -> None:
        self.call, self.state, self.asker = call, call.state, asker

    @property
    def boards(self) -> list[Board]:
        return [board for board in self.state.boards.values() if board.may(self.asker, "read")]

    def viewer(self, info: Any) -> dict[str, Any]:
        return self._user(self.asker)

    def teams(self, info: Any, filter: dict[str, Any], first: int) -> dict[str, Any]:
        return {"nodes": [self._team(board) for board in self.boards if board.key == filter["key"]["eq"]][:first]}

    def users(self, info: Any, filter: dict[str, Any], first: int) -> dict[str, Any]:
        found = [self._user(who) for who in list(self.state.users.values())]
        return {"nodes": [one for one in found if one["id"] == filter["id"]["eq"]][:first]}

    def comments(self, info: Any, filter: dict[str, Any], first: int) -> dict[str, Any]:
        said = self._said(filter["id"]["eq"])
        return {"nodes": [self._comment(*said)] if said else []}

    def issue(self, info: Any, id: str) -> dict[str, Any]:
        return self._issue(*self._ticket(id))

    def commentCreate(self, info: Any, input: dict[str, Any]) -> dict[str, Any]:
        board, ticket = self._ticket(input["issueId"])
        wanted = input.get("id") or str(uuid.uuid4())
        try:
            if uuid.UUID(wanted).version != 4:
                raise ValueError
        except ValueError:
            raise Refusal("Argument Validation Error: id must be a UUID") from None
        if self._said(wanted):
            raise Refusal(f"Entity already exists: Comment {wanted}")
        made = self.state.say(board, ticket, self.asker, input["body"], identity=wanted)
        return {"success": True, "comment": self._comment(ticket, made)}

    def commentUpdate(self, info: Any, id: str, input: dict[str, Any]) -> dict[str, Any]:
        found = self._said(id)
        if found is None or found[1].author is not self.asker:
            raise Refusal("Entity not found: Comment")
        ticket, said = found
        with self.state.lock:
            said.body = input["body"]
            self.state.noted("ticket.comment.edit", self._ticket(ticket.key)[0], said.id, self.asker)
        return {"success": True, "comment": self._comment(ticket, said)}

    def attachmentCreate(self, info: Any, input: dict[str, Any]) -> dict[str, Any]:
        board, ticket = self._ticket(input["issueId"])
        self.state.link(board, ticket, self.asker, input["url"], input["url"], input["title"])
        return {"success": True}

    def issueUpdate(self, info: Any, id: str, input: dict[str, Any]) -> dict[str, Any]:
        board, ticket = self._ticket(id)
        name = next((name for name in WAYS if identity(board.key, name) == input["stateId"]), None)
        if name is None:
            raise Refusal("Entity not found: WorkflowState")
        self.state.move(board, ticket, self.asker, name, freely=True)
        return {"success": True, "issue": self._issue(board, ticket)}

    def _ticket(self, key: str) -> tuple[Board, Ticket]:
        try:
            board, ticket = self.state.ticket(key)
        except NotFound:
            raise Refusal("Entity not found: Issue") from None
        if board not in self.boards:
            raise Refusal("Entity not found: Issue")
        return board, ticket

    def _said(self, wanted: str) -> tuple[Ticket, Said] | None:
        for board in self.boards:
            for ticket in board.tickets:
                for said in ticket.comments:
                    if said.identity == wanted:
                        return ticket, said
        return None

    def _user(self, who: User) -> dict[str, Any]:
        member = any(board.may(who, "edit") for board in self.state.boards.values())
        shown = {"id": identity("user", who.id), "name": who.name, "active": True, "app": who.is_bot}
        return shown | {"guest": not member, "isMe": who is self.asker}

    def _team(self, board: Board) -> dict[str, Any]:
        states = [{"id": identity(board.key, name), "name": name} for name in WAYS]
        return {"id": identity("team", board.id), "key": board.key, "states": {"nodes": states}}

    def _issue(self, board: Board, ticket: Ticket) -> dict[str, Any]:
        state = {"id": identity(board.key, ticket.status), "name": ticket.status}
        return {"id": identity("issue", ticket.id), "identifier": ticket.key, "state": state, "team": self._team(board)}

    def _comment(self, ticket: Ticket, said: Said) -> dict[str, Any]:
        url = f"{self.call.url}/acme/issue/{ticket.key}#comment-{said.identity[:8]}"
        return {"id": said.identity, "url": url, "body": said.body, "user": self._user(said.author)}
