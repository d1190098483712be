// Writes and reads values with host objects of a program's own, by Node's v8 module. It reads {write: [JavaScript, …],
// decode: [hex, …], evaluate: [JavaScript, …]} from stdin and writes {version, written: [hex, …], decoded, evaluated}, the
// last two as util.inspect shows the values.
import process from "node:process";
import v8 from "node:v8";
import { Buffer } from "node:buffer";
import { inspect } from "node:util";

class Own {
  constructor(text) {
    Object.defineProperty(this, "bytes", { value: new Uint8Array(Buffer.from(text)) });
  }
  [inspect.custom]() {
    return "Own(" + Buffer.from(this.bytes).toString() + ")";
  }
}

const ownClass = 99;

// Only views reach the delegate of a plain Serializer, so an Own is written by its bytes.
class Writer extends v8.Serializer {
  constructor() {
    super();
    this._setTreatArrayBufferViewsAsHostObjects(true);
  }
  _writeHostObject(bytes) {
    this.writeUint32(ownClass);
    this.writeDouble(bytes.length);
    this.writeRawBytes(bytes);
  }
}

class Reader extends v8.Deserializer {
  _readHostObject() {
    if (this.readUint32() !== ownClass) throw new Error("not an Own");
    return new Own(Buffer.from(this.readRawBytes(this.readDouble())).toString());
  }
}

// views replaces each Own by its bytes, which the delegate gets.
function views(v) {
  if (v instanceof Own) return v.bytes;
  if (Array.isArray(v)) return v.map(views);
  if (v instanceof Map) return new Map([...v].map(views));
  if (v instanceof Set) return new Set([...v].map(views));
  return v?.constructor === Object ? Object.fromEntries(Object.entries(v).map(views)) : v;
}

const evaluate = (text) => eval("(" + text + ")");
const chunks = [];
for await (const chunk of process.stdin) chunks.push(chunk);
const request = JSON.parse(Buffer.concat(chunks).toString());

const written = (request.write ?? []).map((text) => {
  const writer = new Writer();
  writer.writeHeader();
  writer.writeValue(views(evaluate(text)));
  return writer.releaseBuffer().toString("hex");
});
const decoded = (request.decode ?? []).map((hex) => {
  const reader = new Reader(Buffer.from(hex, "hex"));
  reader.readHeader();
  return inspect(reader.readValue(), { depth: null });
});
const evaluated = (request.evaluate ?? []).map((text) => inspect(evaluate(text), { depth: null }));
process.stdout.write(JSON.stringify({ version: process.versions.v8, written, decoded, evaluated }));
