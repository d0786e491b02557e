// Prometheus' HTTP API v1, below a path of the page's own origin.

import { type Answer, parseAnswer, parseExemplars, parseTargets, type Sample, type Target } from "../model/prometheus";
import type { Exemplar, Series } from "../model/series";
import type { Seconds, UnixSeconds } from "../model/units";
import { refusal, refuseWebPage } from "./answers";

/** The backend has no Prometheus, which is no mistake: it runs without as well. */
export class NoPrometheus extends Error {}

export interface Period {
  start: UnixSeconds;
  end: UnixSeconds;
}

export class Prometheus {
  /** base is the path before /api/v1. */
  constructor(private readonly base: string) {}

  async query(query: string, time: UnixSeconds, signal: AbortSignal): Promise<Answer> {
    return parseAnswer(await this.#post("query", { query, time: String(time) }, signal));
  }

  /** The samples of an instant query. Throws where the expression is not an instant vector. */
  async vector(query: string, time: UnixSeconds, signal: AbortSignal): Promise<Sample[]> {
    const answer = await this.query(query, time, signal);
    if (answer.type !== "vector") throw new Error(`${query} is a ${answer.type}, not an instant vector`);
    return answer.samples;
  }

  async queryRange(query: string, { start, end }: Period, step: Seconds, signal: AbortSignal): Promise<Series[]> {
    const answer = parseAnswer(await this.#post("query_range", { query, start: String(start), end: String(end), step: String(step) }, signal));
    return answer.type === "matrix" ? answer.series : [];
  }

  async exemplars(query: string, { start, end }: Period, signal: AbortSignal): Promise<Exemplar[]> {
    return parseExemplars(await this.#post("query_exemplars", { query, start: String(start), end: String(end) }, signal));
  }

  async targets(signal: AbortSignal): Promise<Target[]> {
    return parseTargets(await this.#ask("targets?state=active", { method: "GET" }, signal));
  }

  /** The data of GET /api/v1/status/{part}: an object whose fields the caller shows as they are. */
  async status(part: string, signal: AbortSignal): Promise<Record<string, unknown>> {
    return ((await this.#ask(`status/${part}`, { method: "GET" }, signal)) ?? {}) as Record<string, unknown>;
  }

  /** Queries go by POST: an expression can be longer than an address may be. */
  #post(path: string, params: Record<string, string>, signal: AbortSignal): Promise<unknown> {
    return this.#ask(path, { method: "POST", body: new URLSearchParams(params) }, signal);
  }

  async #ask(path: string, init: RequestInit, signal: AbortSignal): Promise<unknown> {
    let response: Response;
    try {
      response = await fetch(`${this.base}/api/v1/${path}`, { ...init, signal });
    } catch (err) {
      if (signal.aborted) throw err;
      throw new NoPrometheus("Prometheus does not answer. Is it still running?");
    }
    const copy = response.clone();
    const json = await response.json().catch(() => undefined) as { status?: string; errorType?: string; error?: string; data?: unknown } | undefined;
    if (json?.status === "success") return json.data;
    if (json?.errorType === "unavailable") throw new NoPrometheus(`Prometheus is not ready: ${json.error}`);
    if (json?.error) throw new Error(json.error);
    refuseWebPage(copy);
    throw new NoPrometheus(copy.status === 404 ? "Prometheus is not there: 404 Not Found" : await refusal(copy));
  }
}

/** The evenly spaced times that a range query answers lie on multiples of the step, so that a refresh moves no bar. */
export function onSteps({ start, end }: Period, step: Seconds): Period {
  return { start: Math.floor(start / step) * step, end: Math.max(Math.floor(start / step) + 1, Math.floor(end / step)) * step };
}
