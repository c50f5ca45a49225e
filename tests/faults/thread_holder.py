"""An agent in a process of its own: takes the turn of a thread, begins a tool use, and answers it if it can. For tests
that stop it meanwhile.

`python -m tests.faults.thread_holder URL TOKEN THREAD` prints the turn's epoch, "used" once the tool use is there, and
then how its result was answered.
"""

import sys
import time
import uuid

from threads.client.transport import HttpTransport, Tokens


def main() -> None:
    url, token, thread = sys.argv[1:]
    transport, client = HttpTransport(url, Tokens(token)), str(uuid.uuid4())

    def push(number: int, **mutation: object) -> str:
        one = {
            "id": number,
            "thread": thread,
            "kind": "append",
            "message": str(uuid.uuid4()),
            "turn": epoch,
            **mutation,
        }
        answer = transport.request("POST", "/sync/push", body={"protocol": 1, "client": client, "mutations": [one]})
        [result] = answer["results"]
        return str(result.get("code", result["status"]))

    claim = {"action": "claim", "holder": "stopped", "seconds": 2}
    epoch = transport.request("POST", f"/threads/{thread}/turn", body=claim)["epoch"]
    print(epoch, flush=True)  # noqa: T201
    use = str(uuid.uuid4())
    push(1, message=use, role="tool_use", text="", body={"tool": {"name": "search"}})
    print("used", flush=True)  # noqa: T201
    time.sleep(1)
    print(push(2, role="tool_result", text="found", body={"tool_use": use}), flush=True)  # noqa: T201
    time.sleep(60)


if __name__ == "__main__":
    main()
