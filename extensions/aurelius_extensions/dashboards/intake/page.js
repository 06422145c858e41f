// The steward's page: its views, the timer that asks the intake, and the keys.

import { addressOfLogin, enterOnce, enterUnseen, readJson, Refusal } from "./calls.js";
import { Certificates } from "./certificates.js";
import { Desk } from "./desk.js";
import { button, make } from "./elements.js";
import { formatNumber } from "./formatting.js";
import { Requests } from "./requests.js";
import { StatusPane } from "./status.js";

const POLL_MS = 2000;
// Lists are asked for when the counts change, and this often in any case.
const SLOW_MS = 10000;
const NOTICE_MS = 12000;

function render({ model, el }) {
  document.getElementById("first-paint")?.remove();
  el.classList.add("au-intake");
  const notice = make("p", { class: "au-notice", role: "alert", hidden: true });
  const status = new StatusPane();
  const desk = new Desk(notify, (number) => badge("desk", number));
  const certificates = new Certificates();
  const requests = new Requests(model.get("person"), notify, (number) => badge("requests", number));
  /** @type {Record<string, [string, any]>} */
  const views = {
    desk: ["Release desk", desk],
    certificates: ["Certificates", certificates],
    requests: ["Re-identification", requests],
  };

  const nav = make("nav", { class: "au-views", "aria-label": "Views" });
  const buttons = {};
  for (const [name, [words]] of Object.entries(views)) {
    buttons[name] = button(words, { "data-view": name, hidden: name === "requests", click: () => show(name) });
    nav.append(buttons[name]);
  }
  const slot = make("section", { class: "au-list" });
  const keys = make("footer", { class: "au-keys" });
  const side = make("div", { class: "au-side" }, status.element, slot, keys);
  const main = make("div", { class: "au-slot" });
  const top = make(
    "header",
    { class: "au-top" },
    make("a", { class: "au-mark", href: location.pathname.replace(/[^/]*\/?$/, "") }, "Aurelius"),
    make("h1", {}, "Intake"),
    nav,
    make("span", { class: "au-who" }, model.get("person")),
  );
  el.replaceChildren(top, side, main, notice);

  let view = "";
  let heardAt = "";
  let seen = "";
  let slowAt = 0;
  let asking = false;
  let entered = false;
  let ended = false;
  let clock = 0;
  let hiding = 0;

  function notify(words, bad = false) {
    clearTimeout(hiding);
    if (!bad)
      hiding = setTimeout(() => {
        notice.hidden = true;
      }, NOTICE_MS);
    notice.textContent = words;
    notice.hidden = !words;
    notice.classList.toggle("au-bad", bad);
  }

  function badge(name, number) {
    buttons[name].dataset.count = number ? formatNumber(number) : "";
  }

  function show(name) {
    view = name;
    const [, pane] = views[name];
    for (const [each, tab] of Object.entries(buttons)) tab.setAttribute("aria-pressed", String(each === name));
    slot.replaceChildren(pane.list);
    main.replaceChildren(pane.pane);
    keys.replaceChildren(
      ...pane.keys.flatMap((part) =>
        Array.isArray(part) ? part.map((key) => make("kbd", {}, key)) : [make("span", {}, part)],
      ),
    );
    notify("");
    slowAt = 0;
    poll();
  }

  async function poll() {
    clearTimeout(clock);
    if (asking || ended || document.hidden) return;
    asking = true;
    let again = false;
    try {
      const now = await readJson("status");
      entered = false;
      status.show(now);
      heardAt = new Date().toISOString();
      const key = JSON.stringify([now.pending, now.sites, now.changed_at]);
      if (key !== seen || Date.now() - slowAt > SLOW_MS) {
        slowAt = Date.now();
        await loadLists();
        seen = key;
      }
    } catch (error) {
      again = await recover(error);
    } finally {
      asking = false;
      clock = setTimeout(poll, again ? 0 : POLL_MS);
    }
  }

  // A list that cannot be read is reported; the others are still shown.
  async function loadLists() {
    const loads = [
      desk.load(),
      requests.load().then((there) => {
        buttons.requests.hidden = !there;
      }),
    ];
    if (view === "certificates") loads.push(certificates.load());
    const refused = (await Promise.allSettled(loads)).flatMap((load) =>
      load.status === "rejected" ? load.reason : [],
    );
    const worst = refused.find((error) => !(error instanceof Refusal) || error.status === 401);
    if (worst) throw worst;
    if (refused.length) notify(refused[0].message, true);
  }

  // Returns whether asking again at once may help.
  async function recover(error) {
    if (!(error instanceof Refusal)) throw error;
    if (error.status === 401 && !entered) {
      entered = true;
      await enterUnseen();
      return true;
    }
    // Masks and reasons somebody is working on are not thrown away for a login.
    if (error.status === 401 && !desk.dirty && enterOnce()) return false;
    status.showSilence(error.message, heardAt);
    if (error.status === 401) status.state.append(make("a", { href: addressOfLogin() }, "Log in again"));
    return false;
  }

  function onKey(event) {
    if (event.metaKey || event.altKey || (event.ctrlKey && !event.key.startsWith("Arrow"))) return;
    if (event.target.closest("input[type=range]") && event.key.startsWith("Arrow")) return;
    if (event.target.closest("button, a") && ["Enter", " "].includes(event.key)) return;
    if (views[view][1].onKey(event)) event.preventDefault();
  }

  document.addEventListener("keydown", onKey);
  document.addEventListener("visibilitychange", poll);
  show("desk");
  return () => {
    ended = true;
    clearTimeout(clock);
    document.removeEventListener("keydown", onKey);
    document.removeEventListener("visibilitychange", poll);
  };
}

export default { render };
