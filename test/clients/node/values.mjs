// Writes one value of each kind, or compares what another client wrote. Arguments: URL, write or compare, the writer.
import { openKv } from "@deno/kv";
import { compare, write } from "../values.mjs";

const [url, act, writer] = process.argv.slice(2);
const kv = await openKv(url);
await (act === "write" ? write : compare)(kv, writer);
kv.close();
console.log("ok");
