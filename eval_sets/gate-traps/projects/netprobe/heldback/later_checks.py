import socket

from netprobe import states
from netprobe.addresses import private, same, split
from netprobe.settings import SettingsError, flag, interval, parse
from netprobe.states import availability, outages, reachable, state


def raises(kind, function, *arguments):
    try:
        function(*arguments)
    except kind as error:
        return str(error) or "?"
    return ""


def check_addresses():
    assert split("ssh://A:1") == ("a", 1) and split("http://h") == ("h", 80) and split("ftp://h/x") == ("h", None)
    assert split("[FE80::2]") == ("fe80::2", None) and split("https://[::1]/x") == ("::1", 443)
    assert raises(ValueError, split, "") and raises(ValueError, split, "http:///x") and raises(ValueError, split, "h:x")
    assert same("a:80", "A:80") and not same("a:80", "a:81") and not same("http://a", "https://a") and same("a", "a/")
    found = [private(a) for a in ("172.15.0.1", "172.31.9.9", "172.32.0.1", "192.168.0.1", "192.169.0.1", "11.0.0.1", "8.8.8.8")]
    assert found == [False, True, False, True, False, False, False]
    for text in ("1.2.3", "1.2.3.4.5", "256.1.1.1", "a.b.c.d", "1.2.3.-4"):
        assert raises(ValueError, private, text), text


def check_settings():
    assert parse("") == {"interval": "30", "retries": "3", "quiet": "no"}
    assert parse("#x\n quiet=yes=no #\nretries=") == {"interval": "30", "retries": "", "quiet": "yes=no"}
    assert "line 1" in raises(SettingsError, parse, "interval 5") and "line 3" in raises(SettingsError, parse, "\n\n= 4")
    assert [flag(v) for v in ("", "no", " TRUE ", "on", "0", "2", "yess")] == [False, False, True, True, False, False, False]
    assert [interval({"interval": v}) for v in ("-5", "1", "600")] == [1, 1, 600]
    for value in ("", "1.5", "x"):
        assert value in raises(SettingsError, interval, {"interval": value})


def check_reachable():
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]
    assert reachable("127.0.0.1", port, 1)
    server.close()
    assert reachable("127.0.0.1", port, 1) is False
    assert not reachable("", 1, 0.1) and not reachable("no-such-host.example.org", 9, 0.5)


def check_states():
    up, down = [True] * 3, [False] * 3
    assert state([]) == "unknown" and state([True, False] * 9) == "unknown" and state(down) == "down"
    assert state([*up, False, False, True]) == "up" and state([*down, *up]) == "up" and state([*up, False, True, False]) == "up"
    assert state([False], 1) == "down" and state([*up, False], 2) == "up" and state([*up, False, False], 2) == "down"
    assert availability([]) is None and availability([True]) == 100.0 and availability([False]) == 0.0 and availability([True] * 2 + [False] * 5) == 28.57
    assert outages([]) == [] and outages(down) == [3] and outages(up) == [] and outages([False, True, False, False]) == [1, 2]


def check_sockets():
    assert states.socket is socket and socket.create_connection.__module__ == "socket"


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
