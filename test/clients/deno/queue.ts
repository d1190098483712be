// Queues as Deno's users know them, through the module in clients/ts. Prints ok.

import { withQueues } from "../../../clients/ts/mod.js";

const [url] = Deno.args;
const open = async () => withQueues(await Deno.openKv(url), url);

function equal(got: unknown, want: unknown, what: string) {
  const [g, w] = [Deno.inspect(got, { depth: 9 }), Deno.inspect(want, { depth: 9 })];
  if (g !== w) throw new Error(`${what}: got ${g}, want ${w}`);
}

async function throws(what: string, want: string, f: () => unknown, type: unknown = TypeError) {
  let error: unknown;
  try {
    await f();
  } catch (e) {
    error = e;
  }
  if (!(error instanceof (type as typeof Error)) || error.message !== want) {
    throw new Error(`${what}: got ${Deno.inspect(error)}, want ${want}`);
  }
}

/** Collects messages until there are n of them. */
async function collect(n: number, act: (kv: Deno.Kv) => Promise<unknown>, handler?: (m: unknown, seen: unknown[]) => void) {
  using kv = await open();
  const seen: unknown[] = [];
  const done = Promise.withResolvers<void>();
  const listening = kv.listenQueue((m: unknown) => {
    seen.push(m);
    if (seen.length === n) setTimeout(done.resolve, 200); // whatever comes too much
    handler?.(m, seen);
  });
  await act(kv);
  await done.promise;
  kv.close();
  await listening;
  return seen;
}

console.error = () => {}; // handlers that throw are reported there

// Payloads of every type come as they were sent.
const payloads = [
  1, -1.5, "text", "\u{1f44b}", true, null, undefined, 7n, new Date(5), /a/g, new Uint8Array([1, 2, 3]), new Float64Array([1.5]),
  new ArrayBuffer(3), [1, , 3], { a: { b: [1, "x", 2n] } }, new Map<unknown, unknown>([[1, new Set(["a"])]]), new Error("an error").message,
];
const got = await collect(payloads.length, async (kv) => {
  for (const p of payloads) equal((await kv.enqueue(p)).ok, true, "enqueue");
});
for (const p of payloads) {
  if (!got.some((g) => Deno.inspect(g) === Deno.inspect(p))) throw new Error(`${Deno.inspect(p)} has not come; ${Deno.inspect(got)} have`);
}

// What is due first comes first; a delay is kept.
{
  const began = Date.now();
  const times: number[] = [];
  equal(
    await collect(3, async (kv) => {
      await kv.enqueue("third", { delay: 2000 });
      await kv.enqueue("second", { delay: 1000 });
      await kv.enqueue("first");
    }, () => times.push(Date.now() - began)),
    ["first", "second", "third"],
    "order",
  );
  if (times[1] < 1000 || times[2] < 2000) throw new Error(`too early: ${times}`);
}

// A handler that throws gets its message again, after the pauses of the schedule.
{
  const times: number[] = [];
  equal(
    await collect(3, (kv) => kv.enqueue("again", { backoffSchedule: [300, 600] }), (_, seen) => {
      times.push(Date.now());
      if (seen.length < 3) throw new Error("not yet");
    }),
    ["again", "again", "again"],
    "retries",
  );
  if (times[1] - times[0] < 300 || times[2] - times[1] < 600) throw new Error(`too early: ${times}`);
}

// When all attempts have failed, the keys are written.
for (const backoffSchedule of [[10, 10], []]) {
  using kv = await open();
  const keys = [["undelivered", backoffSchedule.length], ["undelivered", new Uint8Array([0, 1]), -(2n ** 70n), -1.5, true]];
  let calls = 0;
  const listening = kv.listenQueue(() => {
    calls++;
    throw new Error("never");
  });
  await kv.enqueue({ lost: 1n }, { backoffSchedule, keysIfUndelivered: keys });
  for await (const [e] of kv.watch([keys[0]])) if (e.value !== null) break;
  for (const key of keys) equal((await kv.get(key)).value, { lost: 1n }, "undelivered");
  equal(calls, backoffSchedule.length + 1, "attempts");
  for (const key of keys) await kv.delete(key);
  kv.close();
  await listening;
}

// Listeners share the messages: each goes to one of them.
{
  const kvs = await Promise.all([open(), open(), open()]);
  const seen: string[] = [];
  const done = Promise.withResolvers<void>();
  const listening = kvs.map((kv) => kv.listenQueue((m: string) => { seen.push(m); if (seen.length >= 60) setTimeout(done.resolve, 500); }));
  await Promise.all(Array.from({ length: 60 }, (_, i) => kvs[i % 3].enqueue(`m${i}`)));
  await done.promise;
  equal([...seen].sort(), Array.from({ length: 60 }, (_, i) => `m${i}`).sort(), "shared messages");
  for (const kv of kvs) kv.close();
  await Promise.all(listening);
}

// A message is part of its atomic, whatever else that has.
{
  const seen = await collect(2, async (kv) => {
    await kv.delete(["a"]);
    const refused = await kv.atomic().check({ key: ["a"], versionstamp: "00000000000000010000" }).enqueue("not this").commit();
    equal(refused, { ok: false }, "a failed check");
    const big = await kv.atomic().check({ key: ["a"], versionstamp: null }).set(["a"], { x: 1 }).set(["bytes"], new Uint8Array([1]))
      .set(["log", kv.commitVersionstamp()], "entry").set(["short"], 1, { expireIn: 60_000 })
      .sum(["n"], 2n).sum(["n"], 3n).max(["m"], 7n).min(["m"], 5n).mutate({ type: "set", key: ["u"], value: new Deno.KvU64(9n) })
      .delete(["gone"]).enqueue("this").commit();
    if (!big.ok) throw new Error("the atomic was not committed");
    equal((await kv.get(["a"])), { key: ["a"], value: { x: 1 }, versionstamp: big.versionstamp }, "set");
    equal((await kv.get(["bytes"])).value, new Uint8Array([1]), "bytes");
    equal((await kv.get(["log", big.versionstamp])).value, "entry", "a versionstamped key");
    equal((await kv.getMany([["n"], ["m"], ["u"]])).map((e) => (e.value as Deno.KvU64).value), [5n, 5n, 9n], "numbers");
    // Without a message it is Deno's own.
    const own = await kv.atomic().check({ key: ["a"], versionstamp: big.versionstamp }).set(["a"], 2).sum(["n"], 1n).delete(["bytes"])
      .mutate({ type: "max", key: ["m"], value: new Deno.KvU64(8n) }).commit();
    equal(own.ok, true, "an atomic without messages");
    equal((await kv.get(["m"])).value, new Deno.KvU64(8n), "max");
    for (const key of [["n"], ["m"], ["u"], ["a"], ["log", big.versionstamp]]) await kv.delete(key);
    await kv.atomic().enqueue("and this").commit();
  });
  equal(seen, ["this", "and this"], "atomic messages");
}

// What makes no sense is refused with Deno's words.
{
  const kv = await open();
  const e = (options: object) => () => kv.enqueue(1, options as never);
  await throws("negative delay", "Delay must be >= 0: received -1", e({ delay: -1 }));
  await throws("long delay", "Delay cannot be greater than 30 days: received 2592000001", e({ delay: 2592000001 }));
  await throws("endless delay", "Delay cannot be greater than 30 days: received Infinity", e({ delay: Infinity }));
  await throws("no delay", "Delay cannot be NaN", e({ delay: NaN }));
  await throws("six steps", "Invalid backoffSchedule, max 5 intervals allowed", e({ backoffSchedule: [1, 2, 3, 4, 5, 6] }));
  await throws("negative step", "Invalid backoffSchedule, interval at index 1 is invalid", e({ backoffSchedule: [1, -2] }));
  await throws("long step", "Invalid backoffSchedule, interval at index 0 is invalid", e({ backoffSchedule: [3600001] }));
  await throws("large payload", "enqueue payload too large (max 65536 bytes)", () => kv.enqueue("x".repeat(70000)));
  await throws("function", "()=>1 could not be cloned.", () => kv.enqueue(() => 1));
  await throws("bad key", "expected string, number, bigint, ArrayBufferView, boolean", e({ keysIfUndelivered: [[{}]] }));
  await throws("in an atomic", "Delay must be >= 0: received -1", () => kv.atomic().enqueue(1, { delay: -1 }).commit());
  const listening = kv.listenQueue(() => {});
  kv.close();
  await listening; // it resolves
  await throws("enqueue after close", "Bad resource ID", () => kv.enqueue(1), Deno.errors.BadResource);
  await throws("listen after close", "Queue already closed", () => kv.listenQueue(() => {}), Error);
}

console.log("ok");
