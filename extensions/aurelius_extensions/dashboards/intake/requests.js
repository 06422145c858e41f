// Re-identification: one steward asks with a reason, another approves, and the first one opens the pseudonym.

import { readJson, send } from "./calls.js";
import { button, emptyState, make } from "./elements.js";
import { formatAge, formatMoment } from "./formatting.js";

// Stands for the maps of all patients.
const EVERYBODY = "*";
const STEPS = {
  asked: ["waits for a second steward", "au-waiting"],
  approved: ["approved", "au-accepted"],
  opened: ["opened", ""],
  expired: ["expired", ""],
};

export class Requests {
  constructor(person, notify, drawn) {
    this.person = person;
    this.notify = notify;
    this.drawn = drawn;
    this.all = [];
    this.id = null;
    this.answer = null;
    this.list = make("div", { class: "au-rows", role: "listbox", "aria-label": "Requests" });
    this.pane = make("section", { class: "au-main", "aria-label": "Request" });
    this.keys = [["j", "k"], "next, previous"];
    this.#drawPane();
  }

  // Returns whether the house has a vault that answers.
  async load() {
    let all;
    try {
      all = await readJson("vault/requests");
    } catch (error) {
      if (error.status === 404) return false;
      throw error;
    }
    const changed = JSON.stringify(all) !== JSON.stringify(this.all);
    this.all = all;
    this.drawn(all.filter((each) => mayApprove(each, this.person)).length);
    if (changed || !this.list.childElementCount) {
      this.#drawList();
      if (this.id !== null) this.#drawPane();
    }
    return true;
  }

  onKey(event) {
    if (event.target.closest("input")) return false;
    const by = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    const next = by && this.all[this.all.findIndex((each) => each.id === this.id) + by];
    if (next) this.#open(next.id);
    return Boolean(by);
  }

  #open(id) {
    this.id = id;
    this.answer = null;
    this.#drawPane();
    this.#drawList();
  }

  #drawList() {
    const ask = make("div", { class: "au-tools" }, button("Ask who somebody is", { click: () => this.#open(null) }));
    const rows = this.all.map((each) => {
      const [words, colour] = STEPS[each.state] ?? [each.state, ""];
      return make(
        "div",
        {
          class: "au-row",
          role: "option",
          tabindex: "0",
          "aria-selected": String(each.id === this.id),
          click: () => this.#open(each.id),
        },
        make(
          "div",
          {},
          make("strong", { class: "au-id" }, nameSubject(each)),
          make("time", { datetime: each.asked_at }, formatAge(each.asked_at)),
        ),
        make("small", {}, make("span", { class: `au-chip ${colour}` }, words), ` ${each.asked_by}: ${each.reason}`),
      );
    });
    if (!rows.length)
      rows.push(
        emptyState(
          "Nobody has asked",
          "A request needs a reason and a second steward, and is written into the audit log.",
        ),
      );
    this.list.replaceChildren(ask, ...rows);
  }

  #drawPane() {
    const request = this.all.find((each) => each.id === this.id);
    this.pane.replaceChildren(request ? this.#drawRequest(request) : this.#drawQuestion());
  }

  #drawQuestion() {
    const pseudonym = make("input", {
      type: "text",
      id: "au-pseudonym",
      required: true,
      autocomplete: "off",
      placeholder: "AUR-…",
    });
    const reason = make("input", { type: "text", id: "au-why", required: true, maxlength: 500, autocomplete: "off" });
    const ask = async (event) => {
      event.preventDefault();
      const question = { pseudonym: pseudonym.value.trim(), reason: reason.value.trim() };
      const asked = await this.#act("vault/requests", question, "Asked. Another steward has to approve.");
      if (asked) this.#open(asked.id);
    };
    return make(
      "form",
      { class: "au-decision au-request", submit: ask },
      make("h3", {}, "Ask who a patient is"),
      make(
        "p",
        { class: "au-effect" },
        "Another steward must approve before you can open the pseudonym. Both names and the reason go into the audit log. An asterisk stands for the maps of all patients.",
      ),
      make("label", { for: "au-pseudonym" }, "Pseudonym"),
      pseudonym,
      make("label", { for: "au-why" }, "Reason"),
      reason,
      make("button", { type: "submit" }, "Ask"),
    );
  }

  #drawRequest(request) {
    const [words, colour] = STEPS[request.state] ?? [request.state, ""];
    const path = `vault/requests/${encodeURIComponent(request.id)}`;
    const act = make("div", { class: "au-act" });
    if (mayApprove(request, this.person)) {
      act.append(
        button("Approve", {
          class: "au-mask",
          click: () => this.#act(`${path}/approve`, {}, `Approved: ${request.asked_by} may open it now.`),
        }),
      );
    }
    if (request.state === "approved" && request.asked_by === this.person) {
      act.append(
        request.pseudonym === EVERYBODY
          ? button("Write the maps", { class: "au-release", click: () => this.#reveal(`${path}/export`) })
          : button("Open", { class: "au-release", click: () => this.#reveal(`${path}/open`) }),
      );
    }
    const facts = [
      ["State", make("span", { class: `au-chip ${colour}` }, words)],
      ["Asked by", `${request.asked_by}, ${formatMoment(request.asked_at)}`],
      ["Reason", request.reason],
      ["Approved by", request.approved_by],
      ["Ends", formatMoment(request.expires_at)],
      ...Object.entries(this.answer ?? {}),
    ];
    const own = request.state === "asked" && request.asked_by === this.person;
    return make(
      "div",
      {},
      make("div", { class: "au-head" }, make("h2", { class: "au-id" }, nameSubject(request)), act),
      make(
        "dl",
        { class: "au-about" },
        facts.filter(([, value]) => value).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
      ),
      own &&
        make("p", { class: "au-dim au-hint" }, "Another steward has to approve; you cannot approve your own request."),
    );
  }

  // Returns the answer, or nothing where it was refused.
  async #act(path, body, done) {
    try {
      const answer = await send(path, body);
      await this.load();
      this.notify(done);
      return answer;
    } catch (error) {
      this.notify(error.message, true);
      return null;
    }
  }

  // What the vault answers stands in the page until something else is opened; it is kept nowhere.
  async #reveal(path) {
    try {
      this.answer = await send(path, {});
      await this.load();
      this.#drawPane();
    } catch (error) {
      this.notify(error.message, true);
    }
  }
}

export function nameSubject(request) {
  return request.pseudonym === EVERYBODY ? "Maps of all patients" : request.pseudonym;
}

/** Whether this person may approve a request: never one's own. */
export function mayApprove(request, person) {
  return request.state === "asked" && request.asked_by !== person;
}
