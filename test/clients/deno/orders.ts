// Exchanges orders with a Go program. Arguments: URL, the program's name.
import { exchange } from "../orders.mjs";

const kv = await Deno.openKv(Deno.args[0]);
await exchange(kv, Deno.args[1]);
kv.close();
console.log("ok");
