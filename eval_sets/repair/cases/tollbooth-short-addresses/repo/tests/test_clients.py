from tollbooth import client_key


def test_key_goes_first():
    assert client_key({"X-Api-Key": "abc "}, "10.0.0.1") == "key:abc"


def test_address():
    assert client_key({}, "192.0.2.7") == "net:192.0.2.7"
    assert client_key({}, "::ffff:192.0.2.7") == "net:192.0.2.7"


def test_header_of_a_proxy():
    headers = {"X-Forwarded-For": "6.6.6.6, 192.0.2.7, 10.0.0.2"}
    assert client_key(headers, "10.0.0.1", ["10.0.0.1", "10.0.0.2"]) == "net:192.0.2.7"
    assert client_key(headers, "192.0.2.9", ["10.0.0.1"]) == "net:192.0.2.9"


def test_neighbours_in_one_network():
    one = client_key({}, "2001:db8:1:2::1")
    assert one == client_key({}, "2001:db8:1:2:aaaa:bbbb:cccc:dddd")
    assert one != client_key({}, "2001:db8:1:3::1")
    assert client_key({}, "2001:db8::1") == client_key({}, "2001:db8::2")
