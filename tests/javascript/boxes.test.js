import assert from "node:assert/strict";
import { test } from "node:test";

import { keepInside, resizeBox, spanBox } from "../../extensions/aurelius_extensions/dashboards/intake/boxes.js";

const SIZE = { width: 100, height: 80 };

test("a box is rounded outwards, whichever corner the drag began at", () => {
  const box = [10, 20, 21, 11];
  assert.deepEqual(spanBox([10.4, 20.9], [30.1, 30.2], SIZE), box);
  assert.deepEqual(spanBox([30.1, 30.2], [10.4, 20.9], SIZE), box);
});

test("a box that is dragged beyond the image ends at its edge", () => {
  assert.deepEqual(spanBox([-5, -5], [500, 500], SIZE), [0, 0, 100, 80]);
  assert.deepEqual(spanBox([150, 10], [200, 20], SIZE), [100, 10, 0, 10]);
});

test("a box that is moved beyond the image keeps its size", () => {
  assert.deepEqual(keepInside([-3, 75, 20, 10], SIZE), [0, 70, 20, 10]);
});

test("a box is resized no smaller than a click and no larger than the image", () => {
  assert.deepEqual(resizeBox([90, 70, 5, 5], 50, -50, SIZE), [90, 70, 10, 2]);
});
