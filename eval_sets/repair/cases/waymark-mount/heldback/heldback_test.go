package waymark

import (
	"errors"
	"testing"
)

func TestMountTwiceAndDeep(t *testing.T) {
	inner := routes(t, "/leaf", "/*rest")
	middle := routes(t, "/x")
	if err := middle.Mount("/in", inner); err != nil {
		t.Fatal(err)
	}
	router := &Router{}
	for _, prefix := range []string{"/a", "/b/:n"} {
		if err := router.Mount(prefix, middle); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]string{"/a/x": "/a/x", "/b/1/in/leaf": "/b/:n/in/leaf", "/a/in/q/r": "/a/in/*rest"} {
		if got := router.Match("GET", path).Pattern; got != want {
			t.Errorf("%s: %q", path, got)
		}
	}
	if middle.Match("GET", "/x").Pattern != "/x" {
		t.Error("the mounted router has changed")
	}
	var problem *RouteError
	if err := router.Mount("/a", middle); !errors.As(err, &problem) {
		t.Errorf("got %v", err)
	}
	if err := router.Mount("/c/*all", middle); !errors.As(err, &problem) {
		t.Errorf("got %v", err)
	}
}
