// The keys of the release desk.

import { DECISIONS } from "./decisions.js";

const ACTIONS = {
  j: ["step", 1],
  ArrowDown: ["step", 1],
  k: ["step", -1],
  ArrowUp: ["step", -1],
  ArrowRight: ["turn", 1],
  ArrowLeft: ["turn", -1],
  n: ["add"],
  0: ["fit"],
  ...Object.fromEntries(Object.entries(DECISIONS).map(([kind, { key }]) => [key, ["ask", kind]])),
};
const DIRECTIONS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/**
 * Return the action a key stands for, with its values; nothing where the key has no meaning at this moment.
 * @param {{ key: string, ctrlKey: boolean, shiftKey: boolean }} event
 * @param {{ typing: boolean, asking: boolean, selecting: boolean }} state whether text is being typed, a decision's
 *   form is open, and a mask is selected
 * @returns {any[]}
 */
export function readKey({ key, ctrlKey, shiftKey }, { typing, asking, selecting }) {
  if (key === "Escape") return ["escape"];
  if (typing) return [];
  if (asking && /^[1-9]$/.test(key)) return ["choose", Number(key) - 1];
  if (selecting && Object.hasOwn(DIRECTIONS, key)) {
    const far = ctrlKey ? 10 : 1;
    const [right, down] = DIRECTIONS[key];
    return ["nudge", right * far, down * far, shiftKey];
  }
  if (selecting && ["Delete", "Backspace"].includes(key)) return ["remove"];
  return Object.hasOwn(ACTIONS, key) ? ACTIONS[key] : [];
}
