import assert from "node:assert/strict";
import { test } from "node:test";

import { readKey } from "../../extensions/aurelius_extensions/dashboards/intake/keys.js";

const IDLE = { typing: false, asking: false, selecting: false };
const press = (key, state = {}, held = {}) =>
  readKey({ key, ctrlKey: false, shiftKey: false, ...held }, { ...IDLE, ...state });

test("keys move through the list and the frames", () => {
  assert.deepEqual(press("j"), ["step", 1]);
  assert.deepEqual(press("ArrowUp"), ["step", -1]);
  assert.deepEqual(press("ArrowLeft"), ["turn", -1]);
});

test("each decision has its key", () => {
  assert.deepEqual(
    ["m", "r", "x"].map((key) => press(key)),
    [
      ["ask", "mask"],
      ["ask", "release"],
      ["ask", "reject"],
    ],
  );
});

test("typing stays typing, but for Escape", () => {
  for (const key of ["m", "j", "1", "Delete"]) assert.deepEqual(press(key, { typing: true }), []);
  assert.deepEqual(press("Escape", { typing: true }), ["escape"]);
});

test("a number chooses a reason only while one is asked for", () => {
  assert.deepEqual(press("1", { asking: true }), ["choose", 0]);
  assert.deepEqual(press("1"), []);
  assert.deepEqual(press("0", { asking: true }), ["fit"]);
});

test("arrows move a selected mask: by ten pixels with Ctrl, its corner with Shift", () => {
  const selecting = { selecting: true };
  assert.deepEqual(press("ArrowUp", selecting), ["nudge", 0, -1, false]);
  assert.deepEqual(press("ArrowRight", selecting, { ctrlKey: true, shiftKey: true }), ["nudge", 10, 0, true]);
  assert.deepEqual(press("Backspace", selecting), ["remove"]);
  assert.deepEqual(press("Backspace"), []);
});

test("names that every object has are not keys", () => {
  assert.deepEqual(press("toString"), []);
});
