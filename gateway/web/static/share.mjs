// Who may see a thread and write in it: changed online only, by compare and set, so that nobody widens what another has
// just narrowed.

import { element } from "./dom.mjs";

const VISIBLE = [["private", "its owner alone"], ["listed", "whom you list"], ["link", "whom you list, and whoever opens a link"], ["team", "everybody of the team"]];
const ROLES = ["reader", "commenter", "writer", "owner"];
const LISTED = /^(\S+)\s+(reader|commenter|writer|owner)$/;

/** People and roles, one `NAME ROLE` a line. Throws an error whose message names the line. */
export function grantsIn(text) {
  const grants = {};
  for (const line of text.split("\n").map((one) => one.trim()).filter(Boolean)) {
    const [, name, role] = LISTED.exec(line) ?? [];
    if (!name) throw new Error(`“${line}”: write a name and ${ROLES.join(", ")}`);
    grants[/^(user|token|subject):/.test(name) ? name : `user:${name}`] = role;
  }
  return grants;
}

export async function openSharing(sync, thread) {
  let view;
  const problem = element("p", { className: "problem", role: "alert", hidden: true });
  const visible = element("select", { name: "visibility" }, ...VISIBLE.map(([value, label]) => element("option", { value, textContent: label })));
  const people = element("textarea", { name: "people", rows: 4, placeholder: "ada@example.org writer" });
  const linked = element("select", { name: "link" }, element("option", { value: "", textContent: "no new link" }),
    ...ROLES.slice(0, 3).map((role) => element("option", { value: role, textContent: `a new link for a ${role}` })));
  const hours = element("input", { name: "hours", type: "number", min: "1", max: "8760", value: "24" });
  const secret = element("p", { className: "said", hidden: true });
  const form = element("form", { className: "sharing" },
    element("h2", { textContent: "Who may see this thread" }), problem,
    element("label", {}, "Visible to ", visible),
    element("label", {}, "People and their roles, one a line ", people),
    element("p", { className: "link-of" }, linked, element("label", {}, " for ", hours, " hours")), secret,
    element("div", { className: "acts" }, element("button", { className: "main", textContent: "Save" }), element("button", { type: "button", value: "close", textContent: "Close" })));
  const dialog = element("dialog", {}, form);
  const say = (text) => { problem.textContent = text; problem.hidden = !text; };
  const fill = (found) => {
    view = found;
    visible.value = found.visibility;
    people.value = Object.entries(found.grants).map(([name, role]) => `${name.replace(/^user:/, "")} ${role}`).join("\n");
    fit();
  };
  const fit = () => {
    people.parentElement.hidden = visible.value === "private";
    linked.parentElement.hidden = visible.value !== "link";
  };
  visible.addEventListener("change", fit);
  form.querySelector('[value="close"]').addEventListener("click", () => dialog.close());
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    say("");
    try {
      const visibility = visible.value;
      const wanted = { acl_epoch: view.acl_epoch, visibility, grants: visibility === "private" ? {} : grantsIn(people.value) };
      if (visibility === "link" && linked.value) wanted.link = { role: linked.value, hours: Number(hours.value) };
      const answer = await sync.json("PUT", `/threads/${thread}/sharing`, wanted);
      view = { ...view, acl_epoch: answer.acl_epoch };
      secret.hidden = !answer.link;
      if (answer.link) secret.textContent = `Shown this once; whoever has it may open the thread: ${answer.link}`;
      else dialog.close();
      linked.value = "";
    } catch (error) {
      if (error.body?.code === "acl") fill({ ...view, ...error.body });
      say(error.status ? error.message : error instanceof TypeError ? "This needs a connection." : error.message);
    }
  });
  document.body.append(dialog);
  dialog.addEventListener("close", () => dialog.remove());
  try {
    fill(await sync.json("GET", `/threads/${thread}`));
  } catch {
    say("This needs a connection.");
    form.querySelector(".main").disabled = true;
  }
  dialog.showModal();
}
