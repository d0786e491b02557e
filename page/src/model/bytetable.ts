// Gives equal runs of bytes equal numbers, without decoding them: names and attributes of a trace repeat, and decoding
// each text once instead of once a span is the main reason why a large trace opens fast.

export class ByteTable {
  /** Numbers of entries by hash, -1 where empty; open addressing. */
  private slots = new Int32Array(1024).fill(-1);
  private froms: number[] = [];
  private tos: number[] = [];

  constructor(private readonly bytes: Uint8Array) {}

  get size(): number {
    return this.froms.length;
  }

  /** The number of the bytes from..to: that of equal bytes seen before, or the next free one. */
  number(from: number, to: number): number {
    const mask = this.slots.length - 1;
    for (let slot = this.hash(from, to) & mask; ; slot = (slot + 1) & mask) {
      const entry = this.slots[slot]!;
      if (entry < 0) return this.add(slot, from, to);
      if (this.equal(entry, from, to)) return entry;
    }
  }

  from(entry: number): number {
    return this.froms[entry]!;
  }

  to(entry: number): number {
    return this.tos[entry]!;
  }

  private add(slot: number, from: number, to: number): number {
    const entry = this.froms.push(from) - 1;
    this.tos.push(to);
    this.slots[slot] = entry;
    if (this.froms.length * 2 > this.slots.length) this.grow();
    return entry;
  }

  private grow(): void {
    this.slots = new Int32Array(this.slots.length * 4).fill(-1);
    const mask = this.slots.length - 1;
    for (let entry = 0; entry < this.froms.length; entry++) {
      let slot = this.hash(this.froms[entry]!, this.tos[entry]!) & mask;
      while (this.slots[slot]! >= 0) slot = (slot + 1) & mask;
      this.slots[slot] = entry;
    }
  }

  private hash(from: number, to: number): number {
    let hash = 0x811c9dc5;
    for (let i = from; i < to; i++) hash = Math.imul(hash ^ this.bytes[i]!, 0x01000193);
    return (hash ^ (hash >>> 15)) >>> 0;
  }

  private equal(entry: number, from: number, to: number): boolean {
    const start = this.froms[entry]!;
    const length = to - from;
    if (this.tos[entry]! - start !== length) return false;
    for (let i = 0; i < length; i++) if (this.bytes[start + i] !== this.bytes[from + i]) return false;
    return true;
  }
}
