"""Asks the supervisor of services, such as a database, to start them anew with the data that they had at first."""

_SECONDS = 200.0
"""More than the supervisor takes before it says that they did not get ready."""


def start_services_anew(control: str) -> None:
    """`control` is the path of the supervisor's socket. Raises `RuntimeError` when they do not get ready."""
    import socket  # only repositories with services need it

    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_SECONDS)
        try:
            connection.connect(control)
            connection.sendall(b"reset\n")
            answer = connection.recv(4096)
        except OSError as error:
            raise RuntimeError(f"the services could not be started anew: {error}") from error
    if answer != b"ok":
        raise RuntimeError(answer.decode(errors="replace") or "the services could not be started anew")
