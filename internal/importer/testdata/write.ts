// Writes a database file of Deno's local KV with one of everything. Argument: the file.
import { write } from "../../../test/clients/values.mjs";

const kv = await Deno.openKv(Deno.args[0]);
await write(kv, "deno");
await kv.set(["key", 1.5, -2n, true, new Uint8Array([0, 255])], "parts");
await kv.set(["u64"], new Deno.KvU64(2n ** 64n - 1n));
await kv.set(["expires"], "later", { expireIn: 3_600_000 });
await kv.set(["blob"], new Blob(["text"]));
for (let i = 0; i < 300; i++) await kv.set(["many", i], { i });
await kv.enqueue({ hello: "world" }, { delay: 3_600_000, keysIfUndelivered: [["undelivered", 1n]], backoffSchedule: [10, 20] });
await kv.enqueue("default retries", { delay: 7_200_000 });
await kv.enqueue("no retries", { delay: 7_200_000, backoffSchedule: [] });
if (Deno.args[1] === "open") { // until stdin ends, and then without closing: the write-ahead log stays
  console.log("written");
  await Deno.stdin.read(new Uint8Array(1));
  Deno.kill(Deno.pid, "SIGKILL");
}
kv.close();
