// Prints a line for golden.txt for each value: who wrote it, the bytes, the value's name here. Run by several engines:
//   node golden.mjs; deno run -A golden.mjs
import process from "node:process";
import v8 from "node:v8";
import { Buffer } from "node:buffer";

const deno = globalThis.Deno;
const holes = [1, , 3];
holes.name = "x";
const sparse = [];
sparse[1000] = 1;
const cycle = { list: [] };
cycle.list.push(cycle, cycle.list);
const shared = new Date(0);
const bytes = new Uint8Array([1, 2, 3, 4]);

function error(e, stack) {
  e.stack = stack;
  return e;
}

const values = {
  undefined, null: null, true: true, false: false,
  zero: 0, negative: -5, maxInt: 2147483647, past: 4294967295, half: 1.5, negativeZero: -0, nan: NaN, infinity: Infinity,
  bigint: -5n, bigZero: 0n, bigLong: 2n ** 70n,
  ascii: "abc", latin: "é", wide: "日本", emoji: "a😀", surrogate: "\ud800x", long: "x".repeat(200), unaligned: { a: "日" },
  date: new Date(1706702400500), badDate: new Date(NaN),
  array: [1, [2], {}], holes, sparse, object: { b: 1, 2: 3, "-1": "é" }, map: new Map([[1, 2], ["a", new Map()]]), set: new Set([1, "a"]),
  regExp: /a\/b/gimsuy,
  buffer: bytes.buffer, bytes, part: new Uint16Array(bytes.buffer, 2, 1), view: new DataView(bytes.buffer, 1, 2),
  views: [bytes, new Int8Array(bytes.buffer), bytes.buffer],
  floats: [new Float32Array([1.5]), new Float64Array([1.5]), new BigInt64Array([-1n]), new BigUint64Array([1n])],
  boxes: [Object(true), Object(false), Object(1), Object("x"), Object(2n)],
  cycle, shared: [shared, shared],
  error: error(new Error("m"), "s"), typeError: error(new TypeError("é"), "日"),
};
try {
  values.cause = error(new RangeError("m", { cause: { a: 1 } }), "s");
  const resizable = new ArrayBuffer(4, { maxByteLength: 8 });
  values.resizable = [resizable, new Uint8Array(resizable), new Uint8Array(resizable, 1, 2)];
  values.flags = new RegExp("a", "dv");
  values.float16 = new Float16Array([1.5, -0]);
} catch {
  // an older engine
}

function serialize(value) {
  if (deno) return deno[deno.internal].core.serialize(value, { forStorage: true });
  const s = new v8.Serializer();
  s.writeHeader();
  s.writeValue(value);
  return s.releaseBuffer();
}

const writer = deno ? "deno-" + deno.version.deno : "node-" + process.version.slice(1);
for (const name in values) console.log([writer, Buffer.from(serialize(values[name])).toString("hex"), name].join("\t"));
if (!deno) console.log([writer, v8.serialize({ b: bytes, n: Buffer.from("hi"), d: new DataView(bytes.buffer, 1) }).toString("hex"), "nodeViews"].join("\t"));
if (deno) {
  const exception = error(new DOMException("m", "DataError"), "s");
  console.log([writer, Buffer.from(serialize([exception, bytes, exception])).toString("hex"), "host"].join("\t"));
}
