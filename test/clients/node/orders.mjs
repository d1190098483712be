// Exchanges orders with a Go program. Arguments: URL, the program's name.
import { openKv } from "@deno/kv";
import { exchange } from "../orders.mjs";

const kv = await openKv(process.argv[2]);
await exchange(kv, process.argv[3]);
kv.close();
console.log("ok");
