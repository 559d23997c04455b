// Rows in ClickHouse's RowBinary, split by the columns of doc/batch.md.
const types = {
  data_keys: ['s', 's', 8, 16, 16, 4, 80, 32, 8, 8, 4],
  turns: ['s', 's', 8, 16, 16, 16, 16, 4, 's', 16, 's', 8, 8, 4],
  interactions: ['s', 's', 8, 16, 's', 16, 16, 16, 's', 's', 's', 's', 2, 's', 's', 's', 1, 4, 4, 4, 4, 's', 8,
    4, 4, 4, 1, 2, 's', 's', 'm', 8, 8, 's', 8, 8, 4],
  findings: ['s', 's', 8, 16, 's', 16, 's', 's', 's', 4, 's', 4, 8, 8, 4],
};
export const TABLES = ['', 'data_keys', 'turns', 'interactions', 'findings'];

class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }
  take(n) {
    if (this.bytes.length - this.at < n) throw new Error('the rows end within a row');
    this.at += n;
    return this.bytes.subarray(this.at - n, this.at);
  }
  leb() {
    let v = 0, scale = 1;
    for (;;) {
      const [b] = this.take(1);
      v += (b & 0x7f) * scale;
      if (b < 0x80) return v;
      scale *= 128;
      if (scale > 2 ** 35) throw new Error('a length that is none');
    }
  }
  skip(type) {
    if (type === 's') this.take(this.leb());
    else if (type === 'm') for (let n = 2 * this.leb(); n > 0; n--) this.take(this.leb());
    else this.take(type);
  }
}

// Every row with its bytes, its place, and of interactions the exchange.
export function* rows(table, bytes) {
  const r = new Reader(bytes);
  const list = types[table];
  while (r.at < bytes.length) {
    const from = r.at;
    let exchange, time;
    list.forEach((type, i) => {
      if (i === 2) time = bytes.readBigInt64LE(r.at);
      if (table === 'interactions' && i === 31)
        exchange = [bytes.readBigUInt64LE(r.at), bytes.readBigUInt64LE(r.at + 8)];
      r.skip(type);
    });
    const row = bytes.subarray(from, r.at);
    yield {
      row,
      sealer: row.readBigUInt64LE(row.length - 20),
      batch: row.readBigUInt64LE(row.length - 12),
      index: row.readUInt32LE(row.length - 4),
      exchange, time,
    };
  }
}

// time, sealer, batch, then three arrays: tables, months, leaves.
export function* leaves(bytes) {
  const r = new Reader(bytes);
  while (r.at < bytes.length) {
    const head = r.take(24);
    const tables = [...r.take(r.leb())];
    const months = [], hashes = [];
    for (let n = r.leb(); n > 0; n--) months.push(r.take(4).readUInt32LE());
    for (let n = r.leb(); n > 0; n--) hashes.push(r.take(32));
    yield { sealer: head.readBigUInt64LE(8), batch: head.readBigUInt64LE(16), tables, months, hashes };
  }
}
