// The certificates: one per study that was let in, each with a page an ethics board can read.

import { INTAKE, readJson } from "./calls.js";
import { emptyState, make, ROWS } from "./elements.js";
import { count, formatMoment, formatNumber } from "./formatting.js";

// As many of the newest ones are searched.
const NEWEST = 500;

export class Certificates {
  constructor() {
    this.all = [];
    this.study = "";
    this.search = make("input", {
      type: "text",
      placeholder: "Study, site, date or verdict",
      "aria-label": "Search the certificates",
    });
    this.search.addEventListener("input", () => this.#drawList());
    this.rows = make("div", { class: "au-rows", role: "listbox", "aria-label": "Certificates, newest first" });
    this.list = make("div", { class: "au-searched" }, this.search, this.rows);
    this.pane = make("section", { class: "au-main", "aria-label": "Certificate" });
    this.keys = [["j", "k"], "next, previous", ["/"], "search"];
    this.#drawPane();
  }

  async load() {
    const all = await readJson(`certificates?limit=${NEWEST}`);
    if (JSON.stringify(all) === JSON.stringify(this.all) && this.rows.childElementCount) return;
    this.all = all;
    this.#drawList();
  }

  onKey(event) {
    if (event.target === this.search) {
      if (event.key !== "Escape") return false;
      this.search.blur();
    } else if (event.key === "/") this.search.focus();
    else if (event.key === "j" || event.key === "ArrowDown") this.#step(1);
    else if (event.key === "k" || event.key === "ArrowUp") this.#step(-1);
    else return false;
    return true;
  }

  #step(by) {
    const found = findCertificates(this.all, this.search.value);
    const next = found[found.findIndex((each) => each.StudyInstanceUID === this.study) + by];
    if (next) this.#open(next);
  }

  #open(certificate) {
    this.study = certificate.StudyInstanceUID;
    this.#drawPane();
    this.#markRow();
  }

  #drawList() {
    const found = findCertificates(this.all, this.search.value);
    const rows = found.slice(0, ROWS).map((each) =>
      make(
        "div",
        {
          class: "au-row",
          role: "option",
          tabindex: "0",
          "data-study": each.StudyInstanceUID,
          click: () => this.#open(each),
        },
        make(
          "div",
          {},
          make("span", { class: `au-chip ${colourVerdict(each.verdict)}` }, each.verdict),
          make("span", {}, ` ${each.site} · ${count(each.objects, "object")}`),
          make("time", { datetime: each.issued_at }, formatMoment(each.issued_at)),
        ),
        make("small", { class: "au-uid" }, each.StudyInstanceUID),
      ),
    );
    if (found.length > ROWS)
      rows.push(make("p", { class: "au-more" }, `and ${formatNumber(found.length - ROWS)} more: search for them`));
    if (!rows.length) {
      rows.push(
        this.all.length
          ? emptyState("Nothing found", "No certificate has all these words.")
          : emptyState("No certificate yet", "Each study that is let in gets one; it appears here by itself."),
      );
    }
    this.rows.replaceChildren(...rows);
    this.#markRow();
  }

  #markRow() {
    for (const row of this.rows.querySelectorAll(".au-row")) {
      const open = row.dataset.study === this.study;
      row.setAttribute("aria-selected", String(open));
      if (open) row.scrollIntoView({ block: "nearest" });
    }
  }

  #drawPane() {
    if (!this.study) {
      this.pane.replaceChildren(
        emptyState(
          "No certificate selected",
          "A certificate says what was removed, kept and shifted in a study, and that nothing identifying is left.",
        ),
      );
      return;
    }
    const page = `${INTAKE}certificates/${encodeURIComponent(this.study)}`;
    this.pane.replaceChildren(
      make(
        "div",
        { class: "au-head" },
        make("div", {}, make("h2", {}, "Certificate"), make("p", { class: "au-dim au-uid" }, this.study)),
        make(
          "div",
          { class: "au-act" },
          make("a", { href: `${page}/page`, target: "_blank", rel: "noopener" }, "Open as a page"),
          make("a", { href: page, target: "_blank", rel: "noopener" }, "JSON"),
        ),
      ),
      // Without scripts, whatever the page holds.
      make("iframe", { src: `${page}/page`, sandbox: "allow-same-origin", title: "Certificate", class: "au-paper" }),
    );
  }
}

export function colourVerdict(verdict) {
  return verdict === "nothing left" ? "au-accepted" : "au-waiting";
}

/** Return the certificates that hold every word of a search, newest first. */
export function findCertificates(all, search) {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const text = (each) =>
    [each.StudyInstanceUID, each.site, each.verdict, formatMoment(each.issued_at)].join(" ").toLowerCase();
  return all
    .filter((each) => words.every((word) => text(each).includes(word)))
    .sort((one, other) => String(other.issued_at).localeCompare(String(one.issued_at)));
}
