// unstorage's deno-kv driver. Arguments: URL.
import { createStorage } from "unstorage";
import denoKV from "unstorage/drivers/deno-kv";
import { exercise } from "../unstorage.mjs";

await exercise(createStorage({ driver: denoKV({ path: Deno.args[0], base: "app" }) }));
console.log("ok");
