import assert from "node:assert/strict";
import { test } from "node:test";

import {
  colourVerdict,
  findCertificates,
} from "../../extensions/aurelius_extensions/dashboards/intake/certificates.js";
import { mayApprove, nameSubject } from "../../extensions/aurelius_extensions/dashboards/intake/requests.js";
import { judgeIntake } from "../../extensions/aurelius_extensions/dashboards/intake/status.js";
import { findNext } from "../../extensions/aurelius_extensions/dashboards/worklist/worklist.js";

const CERTIFICATES = [
  { StudyInstanceUID: "2.25.1", site: "north", verdict: "nothing left", issued_at: "2026-11-19T10:00:00" },
  { StudyInstanceUID: "2.25.2", site: "south", verdict: "2 left", issued_at: "2026-11-20T10:00:00" },
];
const list = (search) => findCertificates(CERTIFICATES, search).map((each) => each.StudyInstanceUID);

test("certificates come newest first, and every word of a search must be found", () => {
  assert.deepEqual(list(""), ["2.25.2", "2.25.1"]);
  assert.deepEqual(list(" NORTH  nothing "), ["2.25.1"]);
  assert.deepEqual(list("north 2026-11-20"), []);
});

test("only a certificate with nothing left is green", () => {
  assert.notEqual(colourVerdict("nothing left"), colourVerdict("2 left"));
});

test("nobody approves their own request", () => {
  const request = { state: "asked", asked_by: "stella", pseudonym: "*" };
  assert.equal(mayApprove(request, "stella"), false);
  assert.equal(mayApprove(request, "stefan"), true);
  assert.equal(mayApprove({ ...request, state: "approved" }, "stefan"), false);
  assert.equal(nameSubject(request), "Maps of all patients");
});

test("the intake's state names what stops it", () => {
  const judge = (status) => judgeIntake(status)[1];
  assert.equal(judge({}), "Taking");
  assert.equal(judge({ running: false, key: { usable: false } }), "Not running");
  assert.equal(judge({ key: { usable: false } }), "Cannot take: no key");
  assert.equal(judge({ disk: { taking: false, free_bytes: 1, reserve_bytes: 2 } }), "Not taking: disk is full");
});

test("the next row is the neighbour, but after a decision the one that is next to review", () => {
  const rows = ["7", "8", "9"];
  assert.equal(findNext(rows, "7", 1, 0), "8");
  assert.equal(findNext(rows, "7", -1, 0), undefined);
  assert.equal(findNext(rows, "9", 1, 0), undefined);
  assert.equal(findNext(rows, "9", 1, 8), "8");
  assert.equal(findNext(rows, "9", -1, 7), "8");
  assert.equal(findNext(rows, "7", 1, 99), "8", "the one named is no longer in the list");
  assert.equal(findNext(rows, undefined, 1, 0), "7", "no row is selected");
});
