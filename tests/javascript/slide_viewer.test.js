import assert from "node:assert/strict";
import { test } from "node:test";

import { nameRegions } from "../../data-catalog/aurelius_catalog/viewing/slide_labels.js";
import { roundDown } from "../../data-catalog/aurelius_catalog/viewing/slide_scale.js";
import { Tiles } from "../../data-catalog/aurelius_catalog/viewing/slide_tiles.js";

class Model {
  sent = [];
  handlers = new Map();
  on(name, handler) {
    this.handlers.set(name, handler);
  }
  off(name) {
    this.handlers.delete(name);
  }
  send(message) {
    this.sent.push(message);
  }
}

function makeJob() {
  const job = { tile: { level: 3, x: 1, y: 2 }, userData: {} };
  job.finish = (data) => (job.data = data);
  job.fail = (reason) => (job.reason = reason);
  return job;
}

test("the scale bar has a round length", () => {
  assert.deepEqual([9.99, 5, 4.9, 1230, 0.37].map(roundDown), [5, 5, 2, 1000, 0.2]);
});

test("outlines get one colour per name, none that a label has", () => {
  const values = {
    regions: [{ label: "tumour" }, { label: "stroma" }, { label: "tumour" }],
    layers: [{ marks: [{ colour: "#e69f00" }] }],
  };
  const named = nameRegions({ get: (name) => values[name] });
  assert.deepEqual(named, [
    ["tumour", "#56b4e9"],
    ["stroma", "#009e73"],
  ]);
});

test("a tile is asked of the kernel and its answer is handed on once", () => {
  const model = new Model();
  const tiles = new Tiles(model, () => {});
  const job = makeJob();
  tiles.ask(job, null);
  const [{ id, ...rest }] = model.sent;
  assert.deepEqual(rest, { kind: "tile", layer: null, level: 3, column: 1, row: 2 });
  model.handlers.get("msg:custom")({ kind: "tile", id }, [new Uint8Array([1])]);
  assert.equal(job.data.type, "image/jpeg");
  job.data = null;
  model.handlers.get("msg:custom")({ kind: "tile", id }, [new Uint8Array([2])]);
  assert.equal(job.data, null);
});

test("a tile that cannot be drawn fails with the kernel's words", () => {
  const model = new Model();
  const said = [];
  const tiles = new Tiles(model, (text) => said.push(text));
  const job = makeJob();
  tiles.ask(job, 0);
  tiles.receive({ kind: "tile", id: model.sent[0].id, error: "The slide was withdrawn." });
  assert.equal(job.reason, "The slide was withdrawn.");
  assert.deepEqual(said, ["The slide was withdrawn."]);
});

test("a tile that is no longer wanted is dropped, and nothing waits after the end", () => {
  const model = new Model();
  const tiles = new Tiles(model, () => {});
  const job = makeJob();
  tiles.ask(job, null);
  tiles.ask(makeJob(), null);
  tiles.drop(job);
  assert.deepEqual(model.sent.at(-1), { kind: "drop", id: job.userData.id });
  tiles.close();
  assert.equal(tiles.waiting.size, 0);
  assert.equal(model.handlers.size, 0);
});
