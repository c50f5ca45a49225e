"""OpenAPI 3.1 of a type, made from the schemas of its methods. https://spec.openapis.org/oas/v3.1.0"""

from typing import Any

from objects.model import Method, TypeSpec

_PROBLEM = {
    "type": "object",
    "properties": {"code": {"type": "string"}, "error": {"type": "string"}},
    "required": ["code", "error"],
}


def document(spec: TypeSpec) -> dict[str, Any]:
    methods = {name: method for name, method in spec.methods.items() if not method.internal}
    return {
        "openapi": "3.1.0",
        "info": {"title": spec.name, "version": str(spec.version), "description": spec.description},
        "paths": {f"/objects/{spec.name}/{{key}}/{name}": _path(name, method) for name, method in methods.items()},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{"token": []}],
    }


def _path(name: str, method: Method) -> dict[str, Any]:
    key = {"name": "key", "in": "path", "required": True, "schema": {"type": "string", "maxLength": 200}}
    once = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "maxLength": 200},
        "description": "A repeat within 24 hours gets the first answer and has no second effect.",
    }
    shared = {
        "operationId": name,
        "description": method.description,
        "responses": {
            "200": {"description": "The answer.", "content": {"application/json": {"schema": dict(method.answer)}}},
            "409": {"description": "The object refuses.", "content": {"application/json": {"schema": _PROBLEM}}},
        },
    }
    body = {"content": {"application/json": {"schema": dict(method.argument)}}}
    made = {"post": {**shared, "parameters": [key, once], "requestBody": body}}
    if method.reading:
        parts = method.argument.get("properties", {})
        required = method.argument.get("required", ())
        query = [
            {"name": part, "in": "query", "required": part in required, "schema": dict(schema)}
            for part, schema in parts.items()
        ]
        made["get"] = {**shared, "operationId": f"get_{name}", "parameters": [key, *query]}
    return made
