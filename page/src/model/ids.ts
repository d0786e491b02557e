// Trace and span ids arrive as hex (OTLP JSON) or as base64 (the backend's proto3 JSON).

import type { Hex } from "./units";

const hexDigits = /^[0-9a-fA-F]+$/;

/** True for text that can only be meant as a trace id: 1 to 32 hex digits. */
export function isTraceId(text: string): boolean {
  return text.length <= 32 && hexDigits.test(text);
}

/**
 * The trace id in a pasted text that is nothing else, or "": 32 hex digits, 16 as Jaeger once wrote them, the digits of a
 * UUID, or a traceparent header; perhaps in quotes, and after a name as logs write it.
 */
export function pastedTraceId(text: string): string {
  const bare = text.trim().replace(/^["'`]?(?:trace[-_. ]?id|traceparent)["'`]?\s*[:=]\s*/i, "").replace(/^["'`](.*)["'`]$/, "$1").trim();
  const found = /^(?:00-)?([0-9a-f]{32}|[0-9a-f]{16})(?:-[0-9a-f]{16}-[0-9a-f]{2})?$/i.exec(bare)?.[1] ?? /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.exec(bare)?.[0];
  return found?.toLowerCase().replaceAll("-", "") ?? "";
}

/** Whether two spellings name the same trace: case and leading zeros do not matter. */
export function sameTraceId(a: string, b: string): boolean {
  return trimmed(a) === trimmed(b);
}

function trimmed(id: string): string {
  return id.toLowerCase().replace(/^0+/, "");
}

/**
 * Reads an id of the given length in bytes. Empty and all-zero ids read as "".
 * A full-length run of hex digits is hex; then base64 is tried; then shorter hex, padded on the left.
 * Throws an Error that names the text.
 */
export function parseId(text: unknown, bytes: 8 | 16): Hex {
  if (text === undefined || text === null || text === "") return "";
  if (typeof text !== "string") throw new Error(`an id must be text, not ${typeof text}`);
  const hex = asHex(text, bytes);
  if (hex === undefined) throw new Error(`${JSON.stringify(text)} is not an id of ${bytes} bytes in hex or base64`);
  return /^0*$/.test(hex) ? "" : hex;
}

function asHex(text: string, bytes: number): Hex | undefined {
  const digits = bytes * 2;
  if (text.length === digits && hexDigits.test(text)) return text.toLowerCase();
  const decoded = decodeBase64(text);
  if (decoded !== undefined && (decoded.length === digits || decoded.length === 16)) return decoded.padStart(digits, "0");
  if (text.length < digits && hexDigits.test(text)) return text.toLowerCase().padStart(digits, "0");
  return undefined;
}

function decodeBase64(text: string): Hex | undefined {
  if (text.length % 4 !== 0) return undefined;
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    return Array.from(binary, (c) => c.charCodeAt(0).toString(16).padStart(2, "0")).join("");
  } catch {
    return undefined;
  }
}
