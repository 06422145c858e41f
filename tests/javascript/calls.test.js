import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";

import {
  addressOfLogin,
  readJson,
  readRefusal,
  Refusal,
  send,
} from "../../extensions/aurelius_extensions/dashboards/intake/calls.js";

/** @type {{ url: string, options: RequestInit }[]} */
let requests = [];

function answer(body, status = 200) {
  mock.method(globalThis, "fetch", async (url, options) => {
    requests.push({ url, options });
    return new Response(body, { status });
  });
}

beforeEach(() => {
  requests = [];
  globalThis.sessionStorage = { removeItem() {} };
});
afterEach(() => {
  mock.restoreAll();
  delete globalThis.sessionStorage;
});

test("a reading request carries the login and is never answered from a cache", async () => {
  answer('{"pending": 2}');
  assert.deepEqual(await readJson("status"), { pending: 2 });
  const [{ url, options }] = requests;
  assert.equal(url, "/services/intake/status");
  assert.deepEqual([options.method, options.credentials, options.cache], [undefined, "same-origin", "no-store"]);
});

test("a decision is sent as JSON", async () => {
  answer("");
  assert.deepEqual(await send("desk/1/reject", { reason: "sent by mistake" }), {});
  const [{ options }] = requests;
  assert.equal(options.method, "POST");
  assert.equal(options.body, '{"reason":"sent by mistake"}');
  assert.equal(options.headers["Content-Type"], "application/json");
});

test("a refusal says what the service says, but for a login that is missing", async () => {
  const read = (body, status) => readRefusal(new Response(body, { status }));
  assert.equal(await read('{"detail": "No such object."}', 404), "No such object.");
  assert.match(await read('{"detail": "token"}', 401), /not logged in/);
  assert.match(await read("<html>", 403), /data stewards/);
  assert.match(await read("<html>", 502), /does not answer/);
});

test("an answer that is no JSON, or none at all, counts as silence", async () => {
  answer("<html>");
  await assert.rejects(readJson("status"), (error) => error instanceof Refusal && error.status === 0);
  mock.method(globalThis, "fetch", async () => {
    throw new TypeError("network");
  });
  await assert.rejects(readJson("status"), /does not answer/);
});

test("a refused request carries its status", async () => {
  answer('{"detail": "Not yours."}', 409);
  await assert.rejects(send("desk/1/release", {}), { status: 409, message: "Not yours." });
});

test("the login leads back to the page, whatever is in its address", () => {
  assert.equal(addressOfLogin("/a b?c=d&e"), "/services/intake/enter?next=%2Fa%20b%3Fc%3Dd%26e");
});
