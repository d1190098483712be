// Writes one value of each kind, or compares what another client wrote. Arguments: URL, write or compare, the writer.
import { compare, write } from "../values.mjs";

const [url, act, writer] = Deno.args;
const kv = await Deno.openKv(url);
await (act === "write" ? write : compare)(kv, writer);
kv.close();
console.log("ok");
