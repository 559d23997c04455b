// The vault's socket, spoken to as doc/people.md describes it: frames of u32 length, u16 message, u16
// version, payload.
import net from 'node:net';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

export const MSG = { TOKEN: 30, END: 31, STATUS_IS: 35, OPEN_WHY: 36, AS: 70, SIGN_IN: 71, SIGNED_IN: 72, WHO: 74,
  PERSON: 75, APPROVE: 78 };

const s8 = (s) => Buffer.concat([Buffer.from([Buffer.byteLength(s)]), Buffer.from(s)]);
const s16 = (s) => {
  const n = Buffer.alloc(2);
  n.writeUInt16LE(Buffer.byteLength(s));
  return Buffer.concat([n, Buffer.from(s)]);
};
export const password = (name, text, code = '') => Buffer.concat([Buffer.from([1]), s8(name), s16(text), s8(code)]);

export class Vault {
  static async connect(dir) {
    const it = new Vault();
    it.waiting = [];
    it.rest = Buffer.alloc(0);
    it.socket = net.connect(join(dir, 'run', 'vault.sock'));
    await new Promise((go, fail) => it.socket.once('connect', go).once('error', fail));
    it.socket.on('data', (d) => it.take(d));
    it.socket.on('close', () => { it.closed = true; it.waiting.splice(0).forEach((w) => w(null)); });
    it.socket.on('error', () => {});
    it.send(MSG.TOKEN, await readFile(join(dir, 'run', 'token')));
    return it;
  }

  send(message, payload = Buffer.alloc(0)) {
    const head = Buffer.alloc(8);
    head.writeUInt32LE(payload.length);
    head.writeUInt16LE(message, 4);
    head.writeUInt16LE(1, 6);
    this.socket.write(Buffer.concat([head, payload]));
  }

  take(data) {
    this.rest = Buffer.concat([this.rest, data]);
    while (this.rest.length >= 8 && this.rest.length >= 8 + this.rest.readUInt32LE(0)) {
      const n = this.rest.readUInt32LE(0);
      const frame = { message: this.rest.readUInt16LE(4), payload: this.rest.subarray(8, 8 + n) };
      this.rest = this.rest.subarray(8 + n);
      this.frames = [...(this.frames ?? []), frame];
      if (frame.message !== MSG.END) continue;
      const end = { code: frame.payload.readInt32LE(0), text: frame.payload.subarray(4).toString(),
        frames: this.frames.slice(0, -1) };
      this.frames = [];
      this.waiting.shift()?.(end);
    }
  }

  // One request, to its END: {code, text, frames}; null when the vault hung up.
  ask(message, payload) {
    return new Promise((done) => {
      if (this.closed) return done(null);
      this.waiting.push(done);
      this.send(message, payload);
    });
  }

  close() {
    this.socket.destroy();
  }
}
