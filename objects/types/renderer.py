"""Renders pages from templates and data, for people. Templates are untrusted: they run in a sandbox of Jinja's,
escaped, in a process with little memory that is ended when one takes too long."""

from collections.abc import Mapping
from typing import Any

from objects.manifest import NAME as TYPE_NAME
from objects.model import Message, Method, Refused, Step, TypeSpec
from objects.types.native import NAME, Native, fields, full, text

MOST_TEMPLATES = 100
SECONDS = 3.0
CONTENT_SECURITY_POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


class Renderer(Native):
    spec = TypeSpec(
        name="renderer",
        version=1,
        description="Pages from a sandboxed template and data, or another object's state, escaped.",
        labels={"purpose": "pages"},
        initial={"templates": {}},
        methods={
            "set_template": Method(
                argument=fields({"name": NAME, "template": text(50_000)}),
                description="A Jinja template. Everything it shows is escaped; `safe` does nothing.",
            ),
            "remove_template": Method(argument=fields({"name": NAME})),
            "templates": Method(reading=True, argument=fields({}), answer={"type": "array"}),
            "render": Method(
                reading=True,
                outside=True,
                argument=fields({"name": NAME}, {"data": {}, "type": text(63), "key": text(200)}),
                answer=fields({"html": text(1_500_000), "policy": text(200)}),
                description="The page, from `data`, or from the state of the object `type`/`key` as `state`.",
            ),
        },
    )

    def on_set_template(self, state: Any, message: Message) -> Step:
        templates = {**state["templates"], message.argument["name"]: message.argument["template"]}
        if len(templates) > MOST_TEMPLATES:
            raise full("templates", MOST_TEMPLATES)
        return Step(None, {**state, "templates": templates})

    def on_remove_template(self, state: Any, message: Message) -> Step:
        left = {name: one for name, one in state["templates"].items() if name != message.argument["name"]}
        return Step(None, {**state, "templates": left})

    def on_templates(self, state: Any, message: Message) -> Step:
        return Step(sorted(state["templates"]))

    def plan_render(self, state: Any, message: Message) -> Mapping[str, Any] | None:
        argument = message.argument
        template = state["templates"].get(argument["name"])
        if template is None:
            raise Refused("no-such-template", "there is no template of this name")
        wanted = {"do": "render", "template": template, "data": argument.get("data")}
        if "type" in argument:
            if TYPE_NAME.fullmatch(argument["type"]) is None:
                raise Refused("type", "that is no name of a type")
            wanted |= {"type": argument["type"], "key": argument.get("key", "")}
        return wanted

    def on_render(self, state: Any, message: Message) -> Step:
        done = message.outside
        if "error" in done:
            raise Refused("template", done["error"])
        return Step({"html": done["html"], "policy": CONTENT_SECURITY_POLICY})
