from urlmatch.query import build_url, parse_query
from urlmatch.routes import MethodNotAllowed, NotFound, Pattern, Router


def check_patterns():
    assert Pattern("/posts/{slug}").match("/posts/a/b") is None and Pattern("/posts/{slug}").match("/posts/") is None
    assert Pattern("/posts/{slug}").match("/posts/x.y~z") == {"slug": "x.y~z"}
    assert Pattern("/{a}/{b:int}.html").match("/p-q/12.html") == {"a": "p-q", "b": 12}
    assert Pattern("/f/{rest:path}").match("/f/a/b") == {"rest": "a/b"}
    assert Pattern("/f/{n:int}").match("/f/x") is None


def outcome(router, method, path):
    try:
        return router.resolve(method, path)[0]
    except (NotFound, MethodNotAllowed) as error:
        return type(error).__name__


def check_router():
    router = Router()
    router.add("get", "/a/{x}", "one")
    router.add("POST", "/a/b", "two")
    assert outcome(router, "post", "/a/b") == "two" and outcome(router, "GET", "/a/b") == "one"
    assert outcome(router, "POST", "/a/c") == "MethodNotAllowed" and outcome(router, "DELETE", "/zzz") == "NotFound"
    assert outcome(router, "GET", "/a") == "NotFound" and outcome(router, "PUT", "/a") == "NotFound"
    try:
        router.resolve("PUT", "/a/b")
    except MethodNotAllowed as error:
        assert error.allowed == ["GET", "POST"]


def check_query():
    assert parse_query("first+name=a%2Bb&x=1+2%203") == {"first name": ["a+b"], "x": ["1 2 3"]}
    assert parse_query("") == {} and parse_query("&&a=b=c") == {"a": ["b=c"]}
    assert build_url("/a", q="x y/z?", n=[1, None]) == "/a?q=x%20y%2Fz%3F&n=1"


if __name__ == "__main__":
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
    print("held-back checks passed")
