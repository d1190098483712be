// One value of each kind that JavaScript can store, by name. Deno and Node both make them and compare them with what
// they read.
import assert from "node:assert/strict";

function cycle() {
  const a = { name: "a", self: null, list: [] };
  a.self = a;
  a.list.push(a, { up: a });
  return a;
}

function sharedTwice() {
  const shared = { n: 1 };
  return [shared, shared];
}

const sparse = [1, , 3];
sparse.length = 5;

export const values = {
  undefined: undefined,
  null: null,
  true: true,
  false: false,
  zero: 0,
  "negative zero": -0,
  integer: 42,
  "negative integer": -(2 ** 31),
  "large integer": 2 ** 31,
  float: 0.1,
  infinity: -Infinity,
  nan: NaN,
  "bigint zero": 0n,
  bigint: -(2n ** 70n) - 1n,
  "empty string": "",
  latin1: "caf\u00e9 \u00ff",
  unicode: "water \u6c34 \u{1F986}",
  "long string": "0123456789".repeat(5000),
  object: { b: 1, a: { nested: [1, "two", 3n, null, undefined] }, 7: "number key" },
  array: [1, [2, [3, []]], { four: 4 }],
  "sparse array": sparse,
  date: new Date(1700000000123),
  regexp: /pond[a-z]+/gi,
  map: new Map([["k", 1], [{ o: 1 }, new Map([[1n, "one"]])]]),
  set: new Set(["a", 1, new Set([true])]),
  "boxed primitives": [Object(true), Object(1.5), Object("s"), Object(9n)],
  "bare bytes": new Uint8Array([0, 1, 255]),
  "empty bytes": new Uint8Array(),
  "bytes in an object": { bytes: new Uint8Array([1, 2, 3]) },
  int8: new Int8Array([-1, 1]),
  clamped: new Uint8ClampedArray([0, 255]),
  int16: new Int16Array([-300, 300]),
  uint16: new Uint16Array([65535]),
  int32: new Int32Array([-70000]),
  uint32: new Uint32Array([4294967295]),
  float32: new Float32Array([1.5, NaN]),
  float64: new Float64Array([0.1, -0]),
  bigint64: new BigInt64Array([-1n]),
  biguint64: new BigUint64Array([2n ** 64n - 1n]),
  "array buffer": new Uint8Array([1, 2, 3, 4]).buffer,
  "data view": new DataView(new Uint8Array([1, 2, 3, 4]).buffer, 1, 2),
  error: new Error("a message"),
  "range error": new RangeError("out of it"),
};

// Values whose shape assert.deepEqual would not follow, with what must hold.
export const special = {
  cycle: [cycle(), (v) => v.self === v && v.list[0] === v && v.list[1].up === v && v.name === "a"],
  "invalid date": [new Date(NaN), (v) => v instanceof Date && Number.isNaN(v.getTime())],
  "shared twice": [sharedTwice(), (v) => v[0] === v[1] && v[0].n === 1],
  "error with cause": [
    new TypeError("outer", { cause: new Error("inner") }),
    (v) => v instanceof TypeError && v.message === "outer" && v.cause.message === "inner",
  ],
};

export async function write(kv, writer) {
  const atomic = kv.atomic();
  for (const [name, value] of Object.entries(values)) atomic.set(["values", writer, name], value);
  for (const [name, [value]] of Object.entries(special)) atomic.set(["values", writer, name], value);
  assert.ok((await atomic.commit()).ok);
}

export async function compare(kv, writer) {
  for (const [name, want] of Object.entries(values)) {
    const entry = await kv.get(["values", writer, name]);
    assert.ok(entry.versionstamp, `${writer} wrote no ${name}`);
    if (want instanceof Error) {
      assert.ok(entry.value instanceof want.constructor, name);
      assert.equal(entry.value.message, want.message, name);
    } else {
      assert.deepEqual(entry.value, want, `${name}, as ${writer} wrote it`);
    }
  }
  for (const [name, [, holds]] of Object.entries(special)) {
    const { value } = await kv.get(["values", writer, name]);
    assert.ok(holds(value), `${name}, as ${writer} wrote it`);
  }
}
