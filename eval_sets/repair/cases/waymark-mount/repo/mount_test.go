package waymark

import "testing"

func TestMount(t *testing.T) {
	shop := routes(t, "/", "/items/:id")
	if err := shop.Add("POST", "/items", "make"); err != nil {
		t.Fatal(err)
	}
	router := routes(t, "/about")
	if err := router.Mount("/shops/:shop", shop); err != nil {
		t.Fatal(err)
	}
	match := router.Match("GET", "/shops/7/items/9")
	if match.Handler != "/items/:id" || match.Params["shop"] != "7" || match.Params["id"] != "9" {
		t.Errorf("got %v", match)
	}
	if match.Pattern != "/shops/:shop/items/:id" {
		t.Errorf("pattern %s", match.Pattern)
	}
	if router.Match("GET", "/shops/7").Status != Found {
		t.Error("the root of the mounted router")
	}
	if router.Match("GET", "/shops/7/items").Status != NotAllowed {
		t.Error("another method")
	}
}
