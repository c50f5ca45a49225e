import pytest

from urlmatch.routes import MethodNotAllowed, NotFound, Pattern, Router


def show(id):
    return f"user {id}"


def save(id):
    return f"saved {id}"


@pytest.fixture
def router():
    made = Router()
    made.add("GET", "/users/{id:int}", show)
    made.add("PUT", "/users/{id:int}", save)
    return made


def test_resolve(router):
    handler, values = router.resolve("PUT", "/users/7")
    assert handler is save
    assert handler(**values) == "saved 7"


def test_numbers_are_converted(router):
    assert router.resolve("GET", "/users/7")[1] == {"id": 7}


def test_not_found(router):
    with pytest.raises(NotFound):
        router.resolve("GET", "/groups/7")


def test_another_method(router):
    with pytest.raises(MethodNotAllowed):
        router.resolve("DELETE", "/users/7")


def test_slug_with_hyphens():
    assert Pattern("/posts/{slug}").match("/posts/hello-world") == {"slug": "hello-world"}


def test_pattern_without_parts():
    assert Pattern("/about").match("/about") == {}
    assert Pattern("/about").match("/about/us") is None


def test_unknown_kind():
    with pytest.raises(ValueError):
        Pattern("/{x:float}")
