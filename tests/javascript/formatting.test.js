import assert from "node:assert/strict";
import { test } from "node:test";

import {
  count,
  formatAge,
  formatBytes,
  formatMoment,
  formatNumber,
} from "../../extensions/aurelius_extensions/dashboards/intake/formatting.js";

test("one of a thing is singular, and large numbers are grouped", () => {
  assert.equal(count(1, "box", "boxes"), "1 box");
  assert.equal(count(0, "box", "boxes"), "0 boxes");
  assert.equal(count(1234, "object"), "1,234 objects");
});

test("a number that is missing is zero", () => {
  assert.equal(formatNumber(undefined), "0");
});

test("sizes are in decimal gigabytes and terabytes", () => {
  assert.equal(formatBytes(1_234_000_000), "1.2 GB");
  assert.equal(formatBytes(812_000_000_000), "812 GB");
  assert.equal(formatBytes(2_500_000_000_000), "2.5 TB");
});

test("a moment is written in the reader's own time zone, to the minute", () => {
  assert.equal(formatMoment("2026-03-04T05:06:07"), "2026-03-04 05:06");
  assert.equal(formatMoment("no time"), "");
});

test("an age grows from seconds to days", () => {
  const before = (seconds) => formatAge(new Date(Date.now() - seconds * 1000).toISOString());
  assert.deepEqual([3, 60, 600, 7200, 259200].map(before), [
    "just now",
    "60 s ago",
    "10 min ago",
    "2 h ago",
    "3 days ago",
  ]);
  assert.equal(before(-100), "just now", "a clock that runs ahead");
  assert.equal(formatAge("no time"), "");
});
