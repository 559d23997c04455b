// What drivers do with ClickHouse's answers: its own framing (compress=1), RowBinary and Native.

// A block of LZ4's block format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
function lz4(packed, size) {
  const out = Buffer.alloc(size);
  let i = 0, o = 0;
  const more = (n) => {
    for (let b = 255; n >= 15 && b === 255; n += b) b = packed[i++];
    return n;
  };
  while (i < packed.length) {
    const token = packed[i++], literals = more(token >> 4);
    packed.copy(out, o, i, i + literals);
    i += literals;
    o += literals;
    if (i >= packed.length) break;
    const distance = packed.readUInt16LE(i);
    i += 2;
    for (let n = more(token & 15) + 4; n; n--, o++) out[o] = out[o - distance];
  }
  if (o !== size) throw new Error(`${o} bytes of ${size}`);
  return out;
}

// The frames' content; how many there are is `frames`.
export function unframe(body) {
  const all = [];
  for (let at = 0; at < body.length;) {
    const [method, packed, size] = [body[at + 16], body.readUInt32LE(at + 17), body.readUInt32LE(at + 21)];
    if (method !== 0x82) throw new Error(`method ${method} at ${at}`);
    all.push(lz4(body.subarray(at + 25, at + 16 + packed), size));
    at += 16 + packed;
  }
  return Object.assign(Buffer.concat(all), { frames: all.length });
}

class Reader {
  constructor(b) {
    this.b = b;
    this.at = 0;
  }
  varint() {
    let v = 0, shift = 1;
    for (;; shift *= 128) {
      const c = this.b[this.at++];
      v += (c & 127) * shift;
      if (c < 128) return v;
    }
  }
  text() {
    const n = this.varint();
    this.at += n;
    return this.b.toString('utf8', this.at - n, this.at);
  }
  value(type) {
    const of = /^(Nullable|LowCardinality)\((.*)\)$/.exec(type);
    if (of?.[1] === 'Nullable') return this.b[this.at++] ? null : this.value(of[2]);
    if (of) return this.value(of[2]);
    if (type === 'String') return this.text();
    const n = { UInt8: 1, Bool: 1, UInt16: 2, Int16: 2, UInt32: 4, Int32: 4, UInt64: 8, Int64: 8, DateTime: 4 }[type.replace(/\(.*/, '')];
    if (!n) throw new Error(`type ${type}`);
    this.at += n;
    return Number(n === 8 ? this.b.readBigInt64LE(this.at - 8) : this.b.readUIntLE(this.at - n, n));
  }
}

// RowBinaryWithNamesAndTypes: {names, rows}.
export function rowBinary(body) {
  const r = new Reader(body), n = r.varint();
  const names = Array.from({ length: n }, () => r.text()), types = Array.from({ length: n }, () => r.text()), rows = [];
  while (r.at < body.length) rows.push(types.map((t) => r.value(t)));
  return { names, types, rows };
}

// Native as clickhouse-go reads it at that protocol version (columns of plain types): {names, rows}.
export function native(body, revision) {
  const r = new Reader(body), rows = [];
  let names = [];
  while (r.at < body.length) {
    if (revision > 0) {
      const info = body.subarray(r.at, r.at + 8).toString('hex');
      if (info !== '010002ffffffff00') throw new Error(`no BlockInfo at ${r.at}: ${info}`);
      r.at += 8;
    }
    const columns = r.varint(), count = r.varint(), block = Array.from({ length: count }, () => []);
    names = [];
    for (let c = 0; c < columns; c++) {
      names.push(r.text());
      const type = r.text();
      if (revision >= 54454 && body[r.at++] !== 0) throw new Error('custom serialization');
      for (let i = 0; i < count; i++) block[i].push(r.value(type));
    }
    rows.push(...block);
  }
  return { names, rows };
}
