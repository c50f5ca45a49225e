"""The client's side: all items of a list, with retries."""


class Failed(Exception):
    """A request failed. `status` is that of the answer."""

    def __init__(self, status, message=""):
        super().__init__(message or f"the server answered {status}")
        self.status = status


class Gone(Failed):
    """There is no such list (404, 410)."""


class Refused(Failed):
    """The request is not allowed or wrong (other 4xx)."""


class Unavailable(Failed):
    """The server cannot answer now (429 and 5xx); `after` is for how many seconds it asks to wait."""

    def __init__(self, status, after=None):
        super().__init__(status)
        self.after = after


class Client:
    """`send(path, params)` returns status, headers and body; `sleep(seconds)` waits. `tries` is for each request."""

    def __init__(self, send, sleep, tries=4, pause=1.0, longest=30.0):
        self._send = send
        self._sleep = sleep
        self._tries = tries
        self._pause = pause
        self._longest = longest

    def items(self, path, **params):
        """All items of a list, page by page. Raises Failed."""
        cursor = None
        while True:
            body = self.get(path, params if cursor is None else {**params, "cursor": cursor})
            yield from body["items"]
            cursor = body.get("next")
            if cursor is None:
                return

    def get(self, path, params=None):
        """One answer's body. Tries again what may work later. Raises Failed."""
        for number in range(1, self._tries + 1):
            try:
                return self._once(path, params or {})
            except Unavailable as error:
                if number == self._tries:
                    raise
                self._sleep(self._wait(number, error.after))

    def exists(self, path):
        """Whether there is such a list. Raises Failed for all other problems."""
        try:
            self.get(path)
        except Gone:
            return False
        return True

    def _wait(self, number, asked):
        """The pause doubles each time; one that the server asks for is kept to, if it is not too long."""
        wait = self._pause * 2 ** (number - 1)
        if asked is not None:
            return min(wait, asked)
        return min(wait, self._longest)

    def _once(self, path, params):
        status, headers, body = self._send(path, params)
        if status == 429 or status >= 500:
            after = headers.get("Retry-After", "")
            raise Unavailable(status, float(after) if after.isdigit() else None)
        if status in (404, 410):
            raise Gone(status)
        if status >= 400:
            raise Refused(status)
        return body
