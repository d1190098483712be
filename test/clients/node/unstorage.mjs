// unstorage's deno-kv-node driver. Arguments: URL.
import { createStorage } from "unstorage";
import denoKVNode from "unstorage/drivers/deno-kv-node";
import { exercise } from "../unstorage.mjs";

const openKvOptions = { accessToken: process.env.DENO_KV_ACCESS_TOKEN };
await exercise(createStorage({ driver: denoKVNode({ path: process.argv[2], base: "app", openKvOptions }) }));
console.log("ok");
