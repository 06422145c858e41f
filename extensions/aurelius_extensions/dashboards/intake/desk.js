// The release desk: the objects that wait for a person, oldest first, and that person's decisions.

import { clamp } from "./boxes.js";
import { readJson, readPicture, send } from "./calls.js";
import { makeForm } from "./decision_form.js";
import { DECISIONS, listDecisions } from "./decisions.js";
import { capitalize, describePlace, explainReason, nameKind, nameNumber } from "./descriptions.js";
import { button, emptyState, make, ROWS } from "./elements.js";
import { count, formatAge, formatMoment, formatNumber } from "./formatting.js";
import { readKey } from "./keys.js";
import { drawRail } from "./mask_rail.js";
import { Masks } from "./masks.js";

const REST_MS = 80;

export class Desk {
  // `notify(words, bad)` shows a notice; `drawn(count)` says how many wait.
  constructor(notify, drawn) {
    this.notify = notify;
    this.drawn = drawn;
    this.entries = [];
    /** @type {Record<string, any>} The buttons of the decisions that are open to the person. */
    this.actions = {};
    /** @type {any} The object that is open. */
    this.entry = null;
    /** @type {any} The question that is open, with what its form needs. */
    this.form = null;
    this.sending = false;
    this.frame = 0;
    this.decidedAt = 0;
    this.edited = new Map();
    this.masks = new Masks(() => this.#drawRail());
    this.list = make("div", {
      class: "au-rows",
      role: "listbox",
      "aria-label": "Waiting for a decision, oldest first",
    });
    this.pane = make("section", { class: "au-main", "aria-label": "Selected object" });
    this.keys = [["j", "k"], "next, previous", ["m"], "with masks", ["r"], "as it is", ["x"], "reject"];
    this.#drawPane();
  }

  get dirty() {
    return this.edited.size > 0 || Boolean(this.form);
  }

  async load() {
    const asked = performance.now();
    const entries = await readJson("desk");
    // What was on its way while a decision was taken is out of date.
    if (asked < this.decidedAt) return;
    const changed = JSON.stringify(entries) !== JSON.stringify(this.entries);
    this.entries = entries;
    for (const id of this.edited.keys()) if (!this.#find(id)) this.edited.delete(id);
    this.drawn(entries.length);
    if (this.entry && !this.#find(this.entry.id)) {
      this.notify(`${capitalize(nameNumber(this.entry))} was decided by somebody else.`);
      this.entry = null;
    }
    if (changed || !this.list.childElementCount) this.#drawList();
    for (const time of this.list.querySelectorAll("time")) time.textContent = formatAge(time.dateTime);
    if (!this.entry) this.open(entries[0]?.id);
  }

  open(id) {
    this.#keepEdits();
    this.stop?.abort();
    clearTimeout(this.resting);
    this.entry = this.#find(id) ?? null;
    this.frame = 0;
    this.form = null;
    this.masks.show(null);
    this.#drawPane();
    this.#markRow();
    if (!this.entry) return;
    this.masks.load(this.edited.get(id) ?? this.entry.regions ?? []);
    this.#loadFrame();
  }

  step(by) {
    const index = this.entries.findIndex((entry) => entry.id === this.entry?.id);
    const next = this.entries[index + by];
    if (next) this.open(next.id);
  }

  turn(to) {
    const last = (this.entry?.frames ?? 1) - 1;
    const frame = clamp(to, 0, last);
    if (frame === this.frame || last < 1) return;
    this.frame = frame;
    this.slider.value = frame;
    this.#nameFrame();
    clearTimeout(this.resting);
    this.resting = setTimeout(() => this.#loadFrame(), REST_MS);
  }

  ask(kind) {
    if (!this.entry || this.sending || (this.actions[kind]?.disabled ?? true)) return;
    this.form = makeForm(kind, this.entry, {
      countMasks: () => this.masks.boxes.length,
      isSending: () => this.sending,
      decide: (...decision) => this.#decide(...decision),
      cancel: () => this.escape(),
    });
    this.place.replaceChildren(this.form.element);
    this.form.first.focus();
  }

  // Takes back what is open: a drag, else the question, else the selection.
  escape() {
    if (this.masks.cancel()) return;
    if (this.form && !this.sending) {
      this.form = null;
      this.place.replaceChildren();
      this.#focusRow();
    } else this.masks.select(-1);
  }

  // Returns whether the key meant anything here.
  onKey(event) {
    const [action, ...values] = readKey(event, {
      typing: Boolean(event.target.closest("input[type=text]")),
      asking: Boolean(this.form),
      selecting: this.masks.selected >= 0,
    });
    const actions = {
      escape: () => this.escape(),
      choose: (index) => this.form.choose(index),
      nudge: (right, down, resize) => this.masks.nudge(right, down, resize),
      remove: () => this.masks.remove(),
      step: (by) => this.step(by),
      turn: (by) => this.turn(this.frame + by),
      add: () => this.masks.add(),
      fit: () => this.masks.fit(),
      ask: (kind) => this.ask(kind),
    };
    if (action) actions[action](...values);
    return Boolean(action);
  }

  #find(id) {
    return this.entries.find((entry) => entry.id === id);
  }

  #keepEdits() {
    if (!this.entry || !this.#find(this.entry.id)) return;
    const same = JSON.stringify(this.masks.boxes) === JSON.stringify(this.entry.regions ?? []);
    if (same) this.edited.delete(this.entry.id);
    else this.edited.set(this.entry.id, this.masks.boxes);
  }

  // -- the list --------------------------------------------------------------------------------------

  #drawList() {
    const top = this.list.scrollTop;
    const rows = this.entries.slice(0, ROWS).map((entry) => this.#makeRow(entry));
    if (this.entries.length > ROWS) {
      rows.push(
        make(
          "p",
          { class: "au-more" },
          `and ${formatNumber(this.entries.length - ROWS)} more, which move up as you decide`,
        ),
      );
    }
    if (!rows.length)
      rows.push(emptyState("Nothing waits for you", "What the intake cannot decide by itself appears here by itself."));
    this.list.replaceChildren(...rows);
    this.list.scrollTop = top;
    this.#markRow();
  }

  #makeRow(entry) {
    const flag = entry.state === "flagged" && make("span", { class: "au-chip" }, "already stored");
    const row = make("div", {
      class: "au-row",
      role: "option",
      tabindex: "-1",
      "data-id": entry.id,
      click: () => this.open(entry.id),
    });
    const when = make(
      "time",
      { datetime: entry.received_at, title: formatMoment(entry.received_at) },
      formatAge(entry.received_at),
    );
    const head = make("div", {}, make("strong", {}, nameKind(entry)), make("span", {}, entry.site), flag, when);
    row.append(head, make("small", {}, explainReason(entry)));
    return row;
  }

  #markRow() {
    for (const row of this.list.querySelectorAll(".au-row")) {
      const open = row.dataset.id === String(this.entry?.id);
      row.setAttribute("aria-selected", String(open));
      row.tabIndex = open ? 0 : -1;
      if (open) row.scrollIntoView({ block: "nearest" });
    }
  }

  #focusRow() {
    this.list.querySelector("[aria-selected=true]")?.focus({ preventScroll: true });
  }

  // -- the object ------------------------------------------------------------------------------------

  #drawPane() {
    const entry = this.entry;
    if (!entry) {
      this.actions = {};
      this.pane.replaceChildren(
        emptyState("The desk is clear", "Nothing waits for a decision. This page looks by itself every few seconds."),
      );
      return;
    }
    this.actions = {};
    for (const kind of listDecisions(entry)) {
      const { words, key } = DECISIONS[kind];
      this.actions[kind] = button(words, { class: `au-${kind}`, title: `Key ${key}`, click: () => this.ask(kind) });
    }
    this.masks.locked = !this.actions.mask;
    const about = [describePlace(entry), `arrived ${formatMoment(entry.received_at)}`, nameNumber(entry)];
    const head = make(
      "div",
      { class: "au-head" },
      make("div", {}, make("h2", {}, nameKind(entry)), make("p", { class: "au-dim" }, about.join(" · "))),
      make("div", { class: "au-act" }, Object.values(this.actions)),
    );
    const why = make(
      "div",
      { class: "au-why" },
      make("strong", {}, "Why it waits"),
      make("p", {}, explainReason(entry)),
    );
    this.place = make("div", { class: "au-place" });
    this.rail = make("aside", { class: "au-rail", "aria-label": "Text and masks" });
    this.stage = make("div", { class: "au-stage" });
    this.pane.replaceChildren(head, why, this.place, make("div", { class: "au-work" }, this.stage, this.rail));
    this.#drawStage();
  }

  #drawStage() {
    if (!this.entry.has_image) {
      this.stage.replaceChildren(
        emptyState(
          "There is no picture of this object",
          "It holds something that cannot be shown here, such as a document. Look at the original in quarantine before you release it.",
        ),
      );
      return;
    }
    this.wait = make("p", { class: "au-wait" }, "Loading the image …");
    this.stage.replaceChildren(this.masks.element, this.wait);
    if (!(this.entry.frames > 1)) return;
    this.slider = make("input", { type: "range", min: 0, max: this.entry.frames - 1, value: 0, "aria-label": "Frame" });
    this.slider.addEventListener("input", () => this.turn(Number(this.slider.value)));
    this.label = make("output", {});
    this.stage.append(make("div", { class: "au-frames" }, this.slider, this.label));
    this.#nameFrame();
  }

  #nameFrame() {
    this.label.textContent = `Frame ${this.frame + 1} of ${this.entry.frames}`;
  }

  // Only the newest request counts: a picture still on its way for another frame or object is dropped.
  async #loadFrame() {
    this.stop?.abort();
    if (!this.entry.has_image) return;
    const stop = (this.stop = new AbortController());
    const { wait } = this;
    wait.hidden = false;
    try {
      const picture = await readPicture(
        `desk/${encodeURIComponent(this.entry.id)}/image?frame=${this.frame}`,
        stop.signal,
      );
      if (stop.signal.aborted) return URL.revokeObjectURL(picture.url);
      // Large images are sent smaller; the masks count in the object's own pixels.
      this.masks.show({
        url: picture.url,
        width: this.entry.Columns || picture.width,
        height: this.entry.Rows || picture.height,
      });
      wait.hidden = true;
    } catch (error) {
      if (!stop.signal.aborted) wait.textContent = error.message;
    }
  }

  #drawRail() {
    if (!this.entry) return;
    this.rail.replaceChildren(...drawRail(this.entry, this.masks));
    if (this.masks.locked) return;
    this.actions.mask.disabled = !this.masks.boxes.length;
    this.form?.refresh();
  }

  // -- the decision ----------------------------------------------------------------------------------

  async #decide(kind, reason) {
    if (this.sending) return;
    const { entry } = this;
    const boxes = kind === "mask" ? this.masks.boxes.map((box) => [...box]) : [];
    this.sending = true;
    this.form.refresh();
    try {
      const body = kind === "reject" ? { reason } : { reason, regions: boxes };
      await send(`desk/${encodeURIComponent(entry.id)}/${kind === "reject" ? "reject" : "release"}`, body);
      const released = entry.state === "flagged" ? "accepted" : "released";
      const done = {
        mask: `released with ${count(boxes.length, "mask")}`,
        release: `${released} as it is`,
        reject: "rejected",
      }[kind];
      this.#goOn(entry);
      this.notify(`${capitalize(nameNumber(entry))} is ${done}.`);
    } catch (error) {
      this.notify(error.message, true);
    } finally {
      this.sending = false;
      this.form?.refresh();
    }
  }

  #goOn(entry) {
    this.decidedAt = performance.now();
    const index = this.entries.findIndex((each) => each.id === entry.id);
    this.entries = this.entries.filter((each) => each.id !== entry.id);
    this.edited.delete(entry.id);
    this.drawn(this.entries.length);
    this.#drawList();
    this.open((this.entries[index] ?? this.entries[0])?.id);
    this.#focusRow();
  }
}
