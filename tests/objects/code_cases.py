"""A small service as teams write them, with its manifest and a scenario."""

from typing import Any

ACCOUNT = """
def handle(state, message):
    amount = message["argument"].get("amount", 0)
    if message["method"] == "total":
        return state, {"total": state["total"]}
    if message["method"] == "take" and amount > state["total"]:
        raise Refused("too-much", "there is not so much")
    total = state["total"] + (amount if message["method"] == "add" else -amount)
    return {"total": total}, {"total": total}, [{"kind": "emit", "type": "changed", "data": {"total": total}}]
"""
TOTAL = {
    "type": "object",
    "properties": {"total": {"type": "integer"}},
    "required": ["total"],
    "additionalProperties": False,
}
AMOUNT = {
    "type": "object",
    "properties": {"amount": {"type": "integer", "minimum": 1, "maximum": 1000}},
    "required": ["amount"],
    "additionalProperties": False,
}
MANIFEST: dict[str, Any] = {
    "description": "An account.",
    "initial": {"total": 0},
    "methods": {
        "add": {"argument": AMOUNT, "answer": TOTAL},
        "take": {"argument": AMOUNT, "answer": TOTAL},
        "total": {"reading": True, "answer": TOTAL, "argument": {"type": "object"}},
    },
}
SCENARIO = {
    "name": "adds and takes",
    "steps": [
        {"call": "add", "argument": {"amount": 5}, "answer": {"total": 5}},
        {"restart": True},
        {"call": "take", "argument": {"amount": 2}, "includes": {"total": 3}},
        {"call": "take", "argument": {"amount": 9}, "refused": "too-much"},
    ],
    "state": {"total": 3},
}
