package waymark

import (
	"errors"
	"reflect"
	"testing"
)

func routes(t *testing.T, patterns ...string) *Router {
	t.Helper()
	router := &Router{}
	for _, pattern := range patterns {
		if err := router.Add("GET", pattern, pattern); err != nil {
			t.Fatal(err)
		}
	}
	return router
}

func TestFixedGoesFirst(t *testing.T) {
	router := routes(t, "/users/:id", "/users/me", "/files/*path")
	for path, want := range map[string]string{
		"/users/me": "/users/me", "/users/7": "/users/:id", "/files/a/b": "/files/*path", "/users": "", "/": "", "/files": "",
	} {
		if got := router.Match("GET", path).Handler; got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
}

func TestWhereTheFixedNameLeadsNowhere(t *testing.T) {
	router := routes(t, "/users/me/settings", "/users/:id/posts")
	match := router.Match("GET", "/users/me/posts")
	if match.Status != Found || match.Params["id"] != "me" {
		t.Errorf("got %v", match)
	}
}

func TestParams(t *testing.T) {
	match := routes(t, "/a/:x/b/:y").Match("GET", "/a/1%2F2/b/J%C3%BCrgen")
	if !reflect.DeepEqual(match.Params, map[string]string{"x": "1/2", "y": "J\u00fcrgen"}) {
		t.Errorf("got %v", match.Params)
	}
}

func TestMethods(t *testing.T) {
	router := routes(t, "/a")
	if err := router.Add("PUT", "/a", "put"); err != nil {
		t.Fatal(err)
	}
	if match := router.Match("HEAD", "/a"); match.Handler != "/a" {
		t.Errorf("got %v", match)
	}
	match := router.Match("POST", "/a")
	if match.Status != NotAllowed || !reflect.DeepEqual(match.Allowed, []string{"GET", "HEAD", "PUT"}) {
		t.Errorf("got %v", match)
	}
}

func TestWrongRoutes(t *testing.T) {
	router := routes(t, "/a/:x")
	for _, pattern := range []string{"a", "/:", "/*", "/*x/b", "/:x/:x", "/a/:y", "/a/:x"} {
		var problem *RouteError
		if err := router.Add("GET", pattern, "h"); !errors.As(err, &problem) {
			t.Errorf("%s: %v", pattern, err)
		}
	}
	if router.Add("get", "/b", "h") == nil {
		t.Error("small letters")
	}
}

func TestPath(t *testing.T) {
	path, err := Path("/a/:x/*rest", map[string]string{"x": "1/2 ", "rest": "b/c d"})
	if err != nil || path != "/a/1%2F2%20/b/c%20d" {
		t.Errorf("%s, %v", path, err)
	}
	if _, err := Path("/a/:x", nil); err == nil {
		t.Error("no value")
	}
}
