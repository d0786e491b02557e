// Reading and writing protobuf: the wire format alone, without schemas. Numbers of 64 bits are read as two words of 32,
// since a JavaScript number holds 53 bits and a bigint costs an allocation.

/** Wire types, as protobuf numbers them. */
export const wire = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

const decoder = new TextDecoder();
const ascii = Array.from({ length: 0x80 }, (_, i) => String.fromCharCode(i));
const encoder = new TextEncoder();

/**
 * Walks the fields of one message. next() moves to the next field; then field, type and either the words lo and hi or
 * the range from..to describe it. Throws an Error on bytes that are no protobuf.
 */
export class Reader {
  field = 0;
  type = 0;
  /** A varint, fixed64 or fixed32, as two words. */
  lo = 0;
  hi = 0;
  /** The contents of a field of bytes. */
  from = 0;
  to = 0;

  constructor(
    readonly bytes: Uint8Array,
    private at = 0,
    private end = bytes.length,
  ) {
    if (at < 0 || end > bytes.length) throw new Error("a protobuf message is longer than its bytes");
  }

  /** Begins again with another message of the same bytes: a loop over many of them needs one reader. */
  over(from: number, to: number): this {
    this.at = from;
    this.end = to;
    return this;
  }

  next(): boolean {
    const { at, end } = this;
    if (at >= end) return false;
    // Fast path: a field of bytes whose tag and length take one byte each, as nearly all do.
    const [tag, length] = [this.bytes[at]!, this.bytes[at + 1]!];
    if ((tag & 0x87) === wire.bytes && tag > 7 && length < 0x80 && at + 2 + length <= end) {
      this.field = tag >>> 3;
      this.type = wire.bytes;
      this.from = at + 2;
      this.to = this.at = at + 2 + length;
      return true;
    }
    this.varint();
    this.field = this.lo >>> 3;
    this.type = this.lo & 7;
    if (this.field === 0) throw damaged("a field without a number", this.at);
    if (this.type === wire.varint) this.varint();
    else if (this.type === wire.fixed64) this.fixed(8);
    else if (this.type === wire.fixed32) this.fixed(4);
    else if (this.type === wire.bytes) this.range();
    else throw damaged(`the unknown wire type ${this.type}`, this.at);
    return true;
  }

  /** The text of a field of bytes. */
  text(): string {
    const { bytes, from, to } = this;
    // Fast path: short text in ASCII, for which a decoder takes ten times as long.
    if (to - from <= 32) {
      let made = "";
      let at = from;
      for (; at < to && bytes[at]! < 0x80; at++) made += ascii[bytes[at]!];
      if (at === to) return made;
    }
    return decoder.decode(bytes.subarray(from, to));
  }

  /** A field of bytes as hexadecimal digits; "" where all are zero. */
  hex(): string {
    let made = "";
    for (let i = this.from; i < this.to; i++) made += this.bytes[i]!.toString(16).padStart(2, "0");
    return /^0*$/.test(made) ? "" : made;
  }

  /** The message in a field of bytes. */
  message(): Reader {
    return new Reader(this.bytes, this.from, this.to);
  }

  /** lo and hi as an unsigned number of 64 bits. */
  unsigned(): bigint {
    return (BigInt(this.hi >>> 0) << 32n) | BigInt(this.lo >>> 0);
  }

  signed(): bigint {
    return BigInt.asIntN(64, this.unsigned());
  }

  double(): number {
    words[0] = this.lo;
    words[1] = this.hi;
    return doubles[0]!;
  }

  private range(): void {
    this.varint();
    const length = this.lo;
    if (this.hi !== 0 || length > this.end - this.at) throw damaged("a field that is longer than its message", this.at);
    this.from = this.at;
    this.to = this.at = this.at + length;
  }

  private fixed(size: 4 | 8): void {
    if (this.end - this.at < size) throw damaged("a cut number", this.at);
    this.lo = this.word(this.at);
    this.hi = size === 8 ? this.word(this.at + 4) : 0;
    this.at += size;
  }

  private word(at: number): number {
    const b = this.bytes;
    return (b[at]! | (b[at + 1]! << 8) | (b[at + 2]! << 16) | (b[at + 3]! << 24)) >>> 0;
  }

  private varint(): void {
    let lo = 0;
    let hi = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.at >= this.end) throw damaged("a cut number", this.at);
      const byte = this.bytes[this.at++]!;
      const seven = byte & 0x7f;
      if (shift < 28) lo |= seven << shift;
      else if (shift === 28) {
        lo |= seven << 28;
        hi |= seven >>> 4;
      } else hi |= seven << (shift - 32);
      if (byte < 0x80) {
        this.lo = lo >>> 0;
        this.hi = hi >>> 0;
        return;
      }
    }
    throw damaged("a number of more than ten bytes", this.at);
  }
}

const doubles = new Float64Array(1);
const words = new Uint32Array(doubles.buffer);

function damaged(what: string, at: number): Error {
  return new Error(`these bytes are not protobuf: ${what} at byte ${at}`);
}

/** Writes messages into a buffer that grows. Zero values are written only where the caller asks for them. */
export class Writer {
  private bytes = new Uint8Array(1024);
  private length = 0;

  finish(): Uint8Array<ArrayBuffer> {
    return this.bytes.slice(0, this.length);
  }

  tag(field: number, type: number): void {
    this.small((field << 3) | type);
  }

  uint(field: number, value: number | bigint): void {
    this.tag(field, wire.varint);
    if (typeof value === "number") this.small(value);
    else this.varint(BigInt.asUintN(64, value));
  }

  fixed64(field: number, value: bigint): void {
    this.tag(field, wire.fixed64);
    this.word(Number(value & 0xffffffffn));
    this.word(Number((value >> 32n) & 0xffffffffn));
  }

  double(field: number, value: number): void {
    this.tag(field, wire.fixed64);
    doubles[0] = value;
    this.word(words[0]!);
    this.word(words[1]!);
  }

  blob(field: number, value: Uint8Array): void {
    this.tag(field, wire.bytes);
    this.small(value.length);
    this.reserve(value.length);
    this.bytes.set(value, this.length);
    this.length += value.length;
  }

  text(field: number, value: string): void {
    if (value !== "") this.blob(field, encoder.encode(value));
  }

  /** Writes the message in place, after a length of one byte, which is widened afterwards if necessary. */
  message(field: number, write: (w: Writer) => void): void {
    this.tag(field, wire.bytes);
    const at = this.length;
    this.byte(0);
    write(this);
    const size = this.length - at - 1;
    let more = 0;
    for (let rest = size; rest > 127; rest = Math.floor(rest / 128)) more++;
    if (more > 0) {
      this.reserve(more);
      this.bytes.copyWithin(at + 1 + more, at + 1, this.length);
    }
    this.length = at;
    this.small(size);
    this.length += size;
  }

  private word(value: number): void {
    for (let shift = 0; shift < 32; shift += 8) this.byte((value >>> shift) & 255);
  }

  /** A varint below 2^53. */
  private small(value: number): void {
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.byte((rest % 128) | 128);
    this.byte(rest);
  }

  private varint(value: bigint): void {
    let rest = value;
    for (; rest > 127n; rest >>= 7n) this.byte(Number(rest & 127n) | 128);
    this.byte(Number(rest));
  }

  private byte(value: number): void {
    this.reserve(1);
    this.bytes[this.length++] = value;
  }

  private reserve(more: number): void {
    if (this.length + more <= this.bytes.length) return;
    const grown = new Uint8Array(Math.max(this.length + more, 2 * this.bytes.length));
    grown.set(this.bytes.subarray(0, this.length));
    this.bytes = grown;
  }
}
