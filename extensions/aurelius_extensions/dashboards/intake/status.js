// The state of the intake: whether it accepts objects, and how many objects of each site are in which state.

import { make } from "./elements.js";
import { formatAge, formatBytes, formatMoment, formatNumber } from "./formatting.js";

const STATES = {
  pending: ["pending", "Lies in the inbox or is being worked on"],
  stored: ["stored", "De-identified and in the catalog"],
  duplicate: ["duplicate", "The same content was here before; nothing was changed"],
  quarantined: ["to decide", "Waits at the release desk for a person"],
  conflict: ["conflict", "Same identifier as another object, but other content; waits at the release desk"],
  failed: ["failed", "Could not be read; the original lies in failed/ with the reason beside it"],
  released: ["released", "A steward let it through"],
  rejected: ["rejected", "A steward decided that it stays out"],
  withdrawn: ["withdrawn", "The patient withdrew"],
  unpacked: ["unpacked", "Archives whose files were taken one by one"],
  listed: ["listed", "Directories (DICOMDIR) that only list other files"],
};
const ALWAYS = ["pending", "stored", "quarantined", "failed"];

export function judgeIntake(status) {
  if (status.running === false)
    return ["stopped", "Not running", "Files wait in the inbox until the intake is started again."];
  if (status.key?.usable === false) {
    return [
      "stopped",
      "Cannot take: no key",
      status.key.reason ?? "The vault has no usable key. Files wait in the inbox.",
    ];
  }
  if (status.disk?.taking === false) {
    return [
      "stopped",
      "Not taking: disk is full",
      `${formatBytes(status.disk.free_bytes)} are free and ` +
        `${formatBytes(status.disk.reserve_bytes)} must stay free. Make room: it goes on by itself, nothing is lost.`,
    ];
  }
  return ["taking", "Taking", ""];
}

export class StatusPane {
  constructor() {
    this.state = make("div", { class: "au-state", role: "status" });
    this.counts = make("div", { class: "au-counts" });
    this.element = make("section", { "aria-label": "What comes in" }, this.state, this.counts);
  }

  show(status) {
    const [kind, words, advice] = judgeIntake(status);
    const facts = [
      status.rate_per_minute > 0
        ? `${formatNumber(Math.round(status.rate_per_minute))} per minute`
        : "nothing just now",
      status.changed_at ? `last change ${formatAge(status.changed_at)}` : "nothing has come in yet",
      status.disk && `${formatBytes(status.disk.free_bytes)} free`,
      status.key?.usable && "key in place",
      status.profile && `profile ${status.profile}`,
    ];
    this.state.replaceChildren(
      make("strong", { class: `au-lamp au-${kind}` }, words),
      make("span", {}, facts.filter(Boolean).join(" · ")),
      advice ? make("p", {}, advice) : "",
    );
    this.counts.replaceChildren(this.#tabulate(status.sites ?? {}));
  }

  showSilence(words, since) {
    this.state.replaceChildren(
      make("strong", { class: "au-lamp au-stopped" }, "No answer"),
      make("p", {}, since ? `${words} What you see is from ${formatMoment(since)}.` : words),
    );
  }

  #tabulate(sites) {
    const names = Object.keys(sites).sort();
    if (!names.length) return make("p", { class: "au-dim" }, "Nothing has come in yet. Files go into inbox/<site>/.");
    const total = (state) => names.reduce((sum, name) => sum + Number(sites[name][state] ?? 0), 0);
    const columns = Object.keys(STATES).filter((state) => ALWAYS.includes(state) || total(state));
    const cell = (state, number) =>
      make("td", { class: `au-${state} ${number ? "" : "au-none"}` }, formatNumber(number));
    const rows = names.map((name) =>
      make(
        "tr",
        {},
        make("th", { scope: "row", title: name }, name),
        columns.map((state) => cell(state, sites[name][state] ?? 0)),
      ),
    );
    if (names.length > 1) {
      rows.push(
        make(
          "tr",
          { class: "au-all" },
          make("th", { scope: "row" }, "all"),
          columns.map((state) => cell(state, total(state))),
        ),
      );
    }
    const head = columns.map((state) => make("th", { scope: "col", title: STATES[state][1] }, STATES[state][0]));
    return make(
      "table",
      {},
      make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "site"), head)),
      make("tbody", {}, rows),
    );
  }
}
