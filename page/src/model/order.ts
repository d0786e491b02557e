// Sorting by numbers: a radix sort, which for 100,000 start times takes a tenth of a sort that compares them.

/** Fewer are sorted by comparison. */
const few = 2000;

/** The places of the keys, in ascending order of the keys; of equal keys in their own order. NaN comes first. */
export function orderOf(keys: Float64Array): Int32Array {
  const order = Int32Array.from(keys, (_, i) => i);
  const key = (i: number): number => (Number.isNaN(keys[i]!) ? -Infinity : keys[i]!);
  let sorted = 1;
  while (sorted < keys.length && key(sorted) >= key(sorted - 1)) sorted++;
  if (sorted >= keys.length) return order;
  return keys.length < few ? order.sort((a, b) => (key(a) === key(b) ? a - b : key(a) - key(b))) : bySixteenBits(keys, order);
}

/** From the lowest sixteen bits to the highest, each pass keeping the order of the one before. */
function bySixteenBits(keys: Float64Array, order: Int32Array<ArrayBuffer>): Int32Array {
  const digits = digitsOf(keys);
  let [from, to] = [order, new Int32Array(order.length)];
  for (let digit = 0; digit < 4; digit++) {
    const next = new Int32Array(0x10001);
    for (let i = 0; i < keys.length; i++) next[digits[4 * i + digit]! + 1]!++;
    if (next.includes(keys.length, 1)) continue; // all have the same
    for (let i = 1; i < next.length; i++) next[i]! += next[i - 1]!;
    for (const i of from) to[next[digits[4 * i + digit]!]!++] = i;
    [from, to] = [to, from];
  }
  return from;
}

/** Four digits a key, lowest first, that sort as the numbers do: a float's bits do so above 0, and turned around below it. */
function digitsOf(keys: Float64Array): Uint16Array {
  const digits = new Uint16Array(4 * keys.length);
  const view = new DataView(new ArrayBuffer(8));
  for (let i = 0; i < keys.length; i++) {
    view.setFloat64(0, Number.isNaN(keys[i]!) ? -Infinity : keys[i]! + 0);
    const [turn, sign] = keys[i]! >= 0 ? [0, 0x8000] : [0xffff, 0xffff];
    for (let digit = 0; digit < 4; digit++) digits[4 * i + digit] = view.getUint16(6 - 2 * digit) ^ (digit === 3 ? sign : turn);
  }
  return digits;
}
