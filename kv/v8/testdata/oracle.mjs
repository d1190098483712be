// Decodes and encodes values with the V8 of the runtime that runs it, Node or Deno, for the tests of package v8.
// It reads {decode: [hex, …], encode: [description, …], store: [description, …], evaluate: [JavaScript, …], write:
// [JavaScript, …]} from stdin, all of it, and writes {version, decoded, encoded, stored, evaluated, written}: descriptions,
// hex, hex, descriptions and hex, each {error} if the runtime threw one.
// Descriptions are those of v8test.Describe.
import process from "node:process";
import v8 from "node:v8";
import { Buffer } from "node:buffer";

const deno = globalThis.Deno;

function deserialize(bytes) {
  if (deno) { // as Deno's KV does
    const { core } = deno[deno.internal];
    return core.deserialize(bytes, { forStorage: true, deserializers: core.getCloneableDeserializers() });
  }
  const d = new v8.Deserializer(bytes);
  d.readHeader();
  return d.readValue();
}

function serialize(value) {
  if (deno) return deno[deno.internal].core.serialize(value, { forStorage: true });
  const s = new v8.Serializer();
  s.writeHeader();
  s.writeValue(value);
  return s.releaseBuffer();
}

// store serializes as Deno KV's client for the runtime does. @deno/kv uses v8.serialize, whose views are host objects.
const store = (value) => (deno ? serialize(value) : v8.serialize(value));

const bits = new DataView(new ArrayBuffer(8));

function number(f) {
  if (Number.isNaN(f)) return "NaN";
  bits.setFloat64(0, f);
  return bits.getBigUint64(0).toString(16).padStart(16, "0");
}

function parseNumber(hex) {
  if (hex === "NaN") return NaN;
  bits.setBigUint64(0, BigInt("0x" + hex));
  return bits.getFloat64(0);
}

function units(s) {
  let hex = "";
  for (let i = 0; i < s.length; i++) hex += s.charCodeAt(i).toString(16).padStart(4, "0");
  return hex;
}

const parseUnits = (hex) => (hex.match(/..../g) ?? []).map((u) => String.fromCharCode(parseInt(u, 16))).join("");

function describe(v, ids = new Map()) {
  switch (typeof v) {
    case "undefined": return ["undefined"];
    case "boolean": return ["boolean", v];
    case "number": return ["number", number(v)];
    case "bigint": return ["bigint", v.toString()];
    case "string": return ["string", units(v)];
  }
  if (v === null) return ["null"];
  if (ids.has(v)) return ["ref", ids.get(v)];
  const id = ids.size;
  ids.set(v, id);
  const properties = () => Object.keys(v).map((k) => [units(k), describe(v[k], ids)]);
  const type = Object.prototype.toString.call(v).slice(8, -1);
  switch (type) {
    case "Object": return ["object", id, properties()];
    case "Array": return ["array", id, v.length, properties()];
    case "Map": return ["map", id, [...v].map(([k, e]) => [describe(k, ids), describe(e, ids)])];
    case "Set": return ["set", id, [...v].map((e) => describe(e, ids))];
    case "Date": return ["date", id, number(v.getTime())];
    case "RegExp": return ["regexp", id, units(v.source), v.flags];
    case "Boolean": case "Number": case "String": case "BigInt": return ["boxed", id, describe(v.valueOf(), ids)];
    case "ArrayBuffer": {
      const bytes = Buffer.from(v).toString("hex");
      return v.resizable ? ["buffer", id, bytes, v.maxByteLength] : ["buffer", id, bytes];
    }
    case "Blob": case "File": case "DOMException": case "CryptoKey": return ["host", id, type];
    case "Error": {
      const d = ["error", id, v.name, units(v.message), units(v.stack ?? "")];
      return Object.hasOwn(v, "cause") ? [...d, describe(v.cause, ids)] : d;
    }
  }
  return ["view", id, type, describe(v.buffer, ids), v.byteOffset, tracking(v) ? "tracking" : v.byteLength];
}

// tracking tells whether the view grows with its buffer, by growing it.
function tracking(view) {
  const { buffer, byteLength } = view, size = buffer.byteLength;
  if (!buffer.resizable) return false;
  buffer.resize(buffer.maxByteLength);
  const grown = view.byteLength !== byteLength;
  buffer.resize(size);
  return grown;
}

function build(d, objects = []) {
  const [type, id, a, b, c, e] = d;
  const keep = (v) => (objects[id] = v);
  const define = (v, properties) => {
    for (const [k, p] of properties) {
      const value = build(p, objects);
      Object.defineProperty(v, parseUnits(k), { value, enumerable: true, configurable: true, writable: true });
    }
    return v;
  };
  switch (type) {
    case "undefined": return undefined;
    case "null": return null;
    case "boolean": return d[1];
    case "number": return parseNumber(d[1]);
    case "bigint": return BigInt(d[1]);
    case "string": return parseUnits(d[1]);
    case "ref": return objects[id];
    case "object": return define(keep({}), a);
    case "array": {
      const v = keep(JSON.parse("[]")); // a literal here would remember that some of its arrays had holes
      const dense = b.findIndex(([k], i) => parseUnits(k) !== String(i));
      const elements = dense < 0 ? b : b.slice(0, dense);
      for (const [, e] of elements) v.push(build(e, objects));
      if (v.length !== a) v.length = a;
      return define(v, b.slice(elements.length));
    }
    case "map": {
      const m = keep(new Map());
      for (const [k, v] of a) m.set(build(k, objects), build(v, objects));
      return m;
    }
    case "set": {
      const s = keep(new Set());
      for (const v of a) s.add(build(v, objects));
      return s;
    }
    case "date": return keep(new Date(parseNumber(a)));
    case "regexp": return keep(new RegExp(parseUnits(a), b));
    case "boxed": return keep(Object(build(a, objects)));
    case "buffer": {
      const bytes = Buffer.from(a, "hex");
      const buffer = keep(new ArrayBuffer(bytes.length, b === undefined ? undefined : { maxByteLength: b }));
      new Uint8Array(buffer).set(bytes);
      return buffer;
    }
    case "error": return buildError(d, keep, objects);
    case "view": {
      const buffer = build(b, objects), size = e === "tracking" ? undefined : e;
      const View = globalThis[a];
      return keep(new View(buffer, c, size === undefined ? undefined : size / (View.BYTES_PER_ELEMENT ?? 1)));
    }
  }
  throw new Error("unknown type " + type);
}

function buildError([, , name, message, stack, cause], keep, objects) {
  const v = keep(message === "" ? new globalThis[name]() : new globalThis[name](parseUnits(message)));
  if (stack === "") delete v.stack;
  else v.stack = parseUnits(stack);
  if (cause) Object.defineProperty(v, "cause", { value: build(cause, objects), configurable: true, writable: true });
  return v;
}

function attempt(f) {
  try {
    return f();
  } catch (error) {
    return { error: String(error) };
  }
}

const evaluate = (text) => (0, eval)("(" + text + "\n)");
const written = [];
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const request = JSON.parse(Buffer.concat(chunks).toString());
for (const text of request.write) {
  try {
    written.push(Buffer.from(store(await evaluate(text))).toString("hex"));
  } catch (error) {
    written.push({ error: String(error) });
  }
}
process.stdout.write(JSON.stringify({
  version: process.versions.v8,
  decoded: request.decode.map((hex) => attempt(() => describe(deserialize(Buffer.from(hex, "hex"))))),
  encoded: request.encode.map((d) => attempt(() => Buffer.from(serialize(build(d))).toString("hex"))),
  stored: request.store.map((d) => attempt(() => Buffer.from(store(build(d))).toString("hex"))),
  evaluated: request.evaluate.map((text) => attempt(() => describe(evaluate(text)))),
  written,
}));
