// What a person is told about the connection: nothing while all is well.

import { ago, element } from "./dom.mjs";
import { rendered } from "./session.mjs";

/** Shows `offline`, `signed-out` or nothing (`online`). */
export function describeNet(what) {
  const place = document.getElementById("net");
  if (!place) return;
  place.hidden = what === "online";
  if (what === "offline") {
    place.replaceChildren(`Offline · as of ${ago(rendered)}`);
    place.title = "What you write is kept here, and sent when the server answers again.";
  } else if (what === "signed-out") {
    const next = encodeURIComponent(location.pathname + location.search);
    place.replaceChildren("Signed out · ", element("a", { href: `/web/sign-in?next=${next}`, textContent: "Sign in" }));
  }
}
