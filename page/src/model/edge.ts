// This file reads the edge's API and computes the dashboard's figures from it. /api/rawdata and /api/entrypoints have Traefik's
// form; /api/stats is the edge's own (edge/stats.go).

import { formatDuration, formatNumber, grouped } from "./format";
import type { Milliseconds, PerSecond, Seconds } from "./units";

export interface Router {
  name: string;
  rule: string;
  service: string;
  priority: number;
  /** "enabled", or what keeps the router from working; error then has the reasons. */
  status: string;
  error?: string[];
}

export interface Service {
  name: string;
  loadBalancer: { servers: { url: string; weight?: number }[] };
  /** "UP" or "DOWN" by server. */
  serverStatus: Record<string, string>;
}

export interface EntryPoint {
  name: string;
  address: string;
}

export interface RawData {
  routers: Record<string, Router>;
  services: Record<string, Service>;
}

interface Latency {
  p50: Milliseconds;
  p90: Milliseconds;
  p99: Milliseconds;
  /** 0 where nothing was measured. */
  max: Milliseconds;
}

export interface Traffic {
  requests: number;
  inFlight: number;
  /** By "2xx" and so on. */
  statusClasses: Record<string, number>;
  latencyMs: Latency;
  lastMinute: { requests: number; errors: number; latencyMs: Latency; requestsPerSecond: number[]; errorsPerSecond: number[] };
}

export interface Stats {
  /** As the edge's clock has it. */
  now: string;
  uptimeSeconds: Seconds;
  entryPoints: Record<string, Traffic>;
  routers: Record<string, Traffic>;
  services: Record<string, Traffic>;
  tracing: { exporter: string; endpoint?: string; queued: number; sent: number; dropped: number; refused: number; lastError?: string };
  config: { file?: string; reloads: number; lastError?: string; warnings: string[] };
}

/** In the order in which the edge tries them. */
export function routersOf(raw: RawData): Router[] {
  return Object.values(raw.routers).sort((a, b) => b.priority - a.priority || a.name.localeCompare(b.name));
}

export function servicesOf(raw: RawData): Service[] {
  return Object.values(raw.services).sort((a, b) => a.name.localeCompare(b.name));
}

/** Latencies of the last minute, or of all time when that was quiet. */
export function recent(t: Traffic): Latency {
  return t.lastMinute.latencyMs.max > 0 ? t.lastMinute.latencyMs : t.latencyMs;
}

export function latency(t: Traffic | undefined, quantile: "p50" | "p90" | "p99"): string {
  if (!t) return "–";
  const found = recent(t);
  return found.max > 0 ? formatDuration(found[quantile] * 1e6) : "–";
}

/** Every digit of a number that fits, "1.23M" of one that does not. */
export function count(n: number): string {
  return n < 100_000 ? grouped(n) : formatNumber(n);
}

/** Over the five full seconds before now, or over those in which the edge has been running: the second under way is not full yet. */
export function rate(t: Traffic, uptime: Seconds): PerSecond {
  const seconds = Math.min(5, Math.max(1, Math.floor(uptime)));
  return t.lastMinute.requestsPerSecond.slice(-1 - seconds, -1).reduce((a, b) => a + b, 0) / seconds;
}

/** "12 s", "5 min 2 s", "3 h 1 min", "2 d 4 h". */
export function uptime(seconds: Seconds): string {
  const s = Math.floor(seconds);
  const [m, h, d] = [Math.floor(s / 60), Math.floor(s / 3600), Math.floor(s / 86_400)];
  if (d > 0) return `${d} d ${h % 24} h`;
  if (h > 0) return `${h} h ${m % 60} min`;
  return m > 0 ? `${m} min ${s % 60} s` : `${s} s`;
}

export interface Health {
  text: string;
  kind: "good" | "warn" | "bad";
}

export function health(s: Service): Health {
  const all = s.loadBalancer.servers.length;
  const up = s.loadBalancer.servers.filter((server) => s.serverStatus[server.url] === "UP").length;
  if (all === 0) return { text: "no servers", kind: "bad" };
  if (up === all) return { text: all === 1 ? "healthy" : `${all} healthy`, kind: "good" };
  return { text: `${up} of ${all} healthy`, kind: up > 0 ? "warn" : "bad" };
}

export interface Notice {
  kind: "bad" | "warn";
  title: string;
  text: string;
}

/** What somebody should see to. */
export function notices({ config, tracing }: Stats): Notice[] {
  const made: Notice[] = [];
  if (config.lastError) made.push({ kind: "bad", title: "The configuration file is broken; the previous configuration stays in use.", text: config.lastError });
  if (config.warnings.length > 0) made.push({ kind: "warn", title: "Parts of the configuration have no effect.", text: config.warnings.join("\n") });
  if (tracing.lastError) made.push({ kind: "warn", title: "Spans cannot be sent at the moment. Requests are not affected.", text: tracing.lastError });
  return made;
}

export interface RulePart {
  text: string;
  kind: "matcher" | "value" | "other";
  /** Where a host or a path leads. */
  href?: string;
}

/** Where links go: the entry point's port, under the name that the dashboard came by. */
export interface Web {
  host: string;
  /** ":8000", or "" for port 80. */
  suffix: string;
}

export function webOf(entryPoints: EntryPoint[], host: string): Web {
  const address = entryPoints.find((e) => e.name === "web")?.address ?? ":80";
  const port = address.slice(address.lastIndexOf(":") + 1);
  return { host, suffix: port === "80" ? "" : `:${port}` };
}

/** A rule in parts. They join to the rule, whatever it is. */
export function ruleParts(rule: string, web: Web): RulePart[] {
  let matcher = "";
  return [...rule.matchAll(/`[^`]*`|"(?:[^"\\]|\\.)*"|\w+|[^\w`"]+|./gs)].map(([text]): RulePart => {
    if (/^\w/.test(text)) {
      matcher = text;
      return { text, kind: "matcher" };
    }
    if (text.length < 2 || !/^[`"]/.test(text)) return { text, kind: "other" };
    const href = linkOf(matcher, text.slice(1, -1), web);
    return href === undefined ? { text, kind: "value" } : { text, kind: "value", href };
  });
}

function linkOf(matcher: string, value: string, web: Web): string | undefined {
  if (matcher === "Host" && /^[\w.-]+$/.test(value)) return `http://${value}${web.suffix}/`;
  const path = (matcher === "Path" || matcher === "PathPrefix") && value.startsWith("/");
  return path ? `http://${web.host}${web.suffix}${value}` : undefined;
}

/** "service3@file" in two parts: what the name is, and where it comes from. */
export function splitName(full: string): [string, string] {
  const at = full.lastIndexOf("@");
  return at < 0 ? [full, ""] : [full.slice(0, at), full.slice(at)];
}

/** The path of 60 bars, one a second, in a box of 60 by 30. The tallest of all fills it. */
export function bars(values: number[], top: number): string {
  return values.map((n, i) => (n > 0 ? `M${i + 0.12} 30v${-Math.max(1.6, (n / Math.max(1, top)) * 29).toFixed(2)}h.76V30z` : "")).join("");
}
