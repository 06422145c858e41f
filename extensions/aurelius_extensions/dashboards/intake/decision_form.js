// The form in which a steward gives the reason of a decision.

import { DECISIONS, FINAL_WORDS } from "./decisions.js";
import { button, make } from "./elements.js";
import { count } from "./formatting.js";

/**
 * Make the form that asks for the reason of a decision.
 * @param {"mask" | "release" | "reject"} kind
 * @param {any} entry the object that is decided about
 * @param {{ countMasks: () => number, isSending: () => boolean, decide: (kind: string, reason: string) => void, cancel: () => void }} desk
 */
export function makeForm(kind, entry, { countMasks, isSending, decide, cancel }) {
  const { words, explain } = DECISIONS[kind];
  const presets = DECISIONS[kind].presets(entry);
  const effect = make("p", { class: "au-effect" });
  const reason = make("input", {
    type: "text",
    id: "au-reason",
    maxlength: 500,
    autocomplete: "off",
    required: true,
  });
  const confirm = make("button", { type: "submit", class: `au-${kind}` });
  const choose = (index) => {
    if (!presets[index]) return;
    reason.value = presets[index];
    confirm.focus();
  };
  const choices = presets.map((preset, index) => button(preset, { click: () => choose(index) }, index + 1));
  const refresh = () => {
    const boxes = countMasks();
    effect.textContent = `${explain(boxes, entry)} ${FINAL_WORDS}`;
    confirm.textContent = kind === "mask" ? `Release with ${count(boxes, "mask")}` : words;
    confirm.disabled = isSending() || (kind === "mask" && !boxes);
  };
  const submit = (event) => {
    event.preventDefault();
    const text = reason.value.trim();
    if (text) decide(kind, text);
    else reason.reportValidity();
  };
  const element = make(
    "form",
    { class: "au-decision", "aria-label": words, novalidate: true, submit },
    make("h3", {}, words),
    effect,
    make("div", { class: "au-presets", role: "group", "aria-label": "Usual reasons" }, choices),
    make("label", { for: "au-reason" }, "Reason"),
    reason,
    confirm,
    button("Cancel", { click: cancel }, "Esc"),
  );
  refresh();
  return { element, refresh, choose, first: choices[0] };
}
