import assert from "node:assert/strict";
import { test } from "node:test";

import { DECISIONS, listDecisions } from "../../extensions/aurelius_extensions/dashboards/intake/decisions.js";
import {
  describePlace,
  explainReason,
  nameKind,
  nameNumber,
} from "../../extensions/aurelius_extensions/dashboards/intake/descriptions.js";

test("what can be decided follows from the state and from whether there is an image", () => {
  assert.deepEqual(listDecisions({ state: "quarantined", has_image: true }), ["mask", "release", "reject"]);
  assert.deepEqual(listDecisions({ state: "quarantined", has_image: false }), ["release", "reject"]);
  assert.deepEqual(listDecisions({ state: "conflict", has_image: true }), ["reject"]);
  assert.deepEqual(listDecisions({ state: "flagged", has_image: true }), ["release"]);
});

test("every decision has a key of its own", () => {
  const keys = Object.values(DECISIONS).map(({ key }) => key);
  assert.equal(new Set(keys).size, keys.length);
});

test("a decision says what it will do", () => {
  assert.match(DECISIONS.mask.explain(2, { frames: 3 }), /^2 boxes are blacked out in all 3 frames;/);
  assert.match(DECISIONS.mask.explain(1, { frames: 1 }), /^1 box is blacked out;/);
  const image = { state: "quarantined", has_image: true };
  assert.match(DECISIONS.release.explain(1, image), /The 1 mask you see is not applied/);
  assert.doesNotMatch(DECISIONS.release.explain(0, image), /not applied/);
});

test("an object is named by its modality, else its SOP class", () => {
  assert.equal(nameKind({ Modality: "US", frames: 1200 }), "Ultrasound, 1,200 frames");
  assert.equal(nameKind({ SOPClass: "Encapsulated PDF Storage" }), "Encapsulated PDF");
  assert.equal(nameKind({}), "Object of unknown kind");
  assert.equal(nameNumber({ id: "study-7" }), "study 7");
  assert.equal(nameNumber({ id: 7 }), "number 7");
});

test("an object's place names its SOP class once", () => {
  assert.equal(describePlace({ Modality: "US", SOPClass: "Ultrasound Image Storage", site: "north" }), "north");
  assert.equal(describePlace({ Modality: "CT", SOPClass: "MR Image Storage", site: "north" }), "north · MR");
});

test("a reason is a sentence, also where the intake gives one word or none", () => {
  assert.match(explainReason({ reason: "residue" }), /identifying value/);
  assert.match(explainReason({ state: "conflict" }), /already here/);
  assert.equal(explainReason({ reason: "A document." }), "A document.");
  assert.match(explainReason({}), /could not decide/);
});
