// The page's queries about services to Prometheus: several at once, joined by the model.

import type { ServiceGraph } from "../model/graph";
import * as promql from "../model/promql";
import { type RedAnswers, type ServiceRow, serviceRows, type SpanRow, spanRows } from "../model/red";
import type { Exemplar, Series } from "../model/series";
import { serviceMap } from "../model/servicemap";
import type { Seconds } from "../model/units";
import { onSteps, type Period, Prometheus } from "./prometheus";

const prometheus = new Prometheus("/prometheus");

export async function loadMap(period: Period, signal: AbortSignal): Promise<ServiceGraph> {
  const window = period.end - period.start;
  const ask = (query: string) => prometheus.vector(query, period.end, signal);
  const [edgeCount, edgeRate, edgeFailed, edgeP95, count, rate, errors, p95] = await Promise.all([
    ask(promql.edgeCount(window)),
    ask(promql.edgeRate(window)),
    ask(promql.edgeFailedRate(window)),
    ask(promql.edgeQuantile(0.95, window)),
    ask(promql.serviceCount(window)),
    ask(promql.serviceRate(window)),
    ask(promql.serviceErrors(window)),
    ask(promql.serviceQuantile(0.95, window)),
  ]);
  return serviceMap({ edgeCount, edgeRate, edgeFailed, edgeP95, count, rate, errors, p95 });
}

const trendPoints = 48;

export async function loadServices(period: Period, signal: AbortSignal): Promise<ServiceRow[]> {
  const window = period.end - period.start;
  const step = promql.chartStep(window, trendPoints);
  const [answers, trends] = await Promise.all([
    redAnswers(period, signal, promql.serviceCount(window), promql.serviceRate(window), promql.serviceErrors(window), (q) => promql.serviceQuantile(q, window)),
    prometheus.queryRange(promql.serviceRate(promql.rateWindow(step)), onSteps(period, step), step, signal),
  ]);
  return serviceRows(answers, trends);
}

/** How many spans of the period the bounds on series do not tell apart. */
export async function loadOverflow(period: Period, signal: AbortSignal): Promise<number> {
  const [sample] = await prometheus.vector(promql.overflow(period.end - period.start), period.end, signal);
  return sample !== undefined && Number.isFinite(sample.value) ? sample.value : 0;
}

export interface ServiceDetail {
  period: Period;
  step: Seconds;
  rate: Series[];
  errors: Series[];
  /** p50, p95, p99 */
  quantiles: Series[][];
  /** Spans in each bucket, cumulated over le, in steps of heatStep. */
  buckets: Series[];
  heatStep: Seconds;
  exemplars: Exemplar[];
  spans: SpanRow[];
}

export const quantiles = [0.5, 0.95, 0.99];
const chartPoints = 120;
const heatPoints = 60;

export async function loadService(service: string, period: Period, signal: AbortSignal): Promise<ServiceDetail> {
  const window = period.end - period.start;
  const step = promql.chartStep(window, chartPoints);
  const heatStep = promql.chartStep(window, heatPoints);
  const rateWindow = promql.rateWindow(step);
  const over = (query: string) => prometheus.queryRange(query, onSteps(period, step), step, signal);
  const [rate, errors, lines, buckets, exemplars, spans] = await Promise.all([
    over(promql.serviceRate(rateWindow, service)),
    over(promql.serviceErrors(rateWindow, service)),
    Promise.all(quantiles.map((q) => over(promql.serviceQuantile(q, rateWindow, service)))),
    prometheus.queryRange(promql.serviceBuckets(heatStep, service), onSteps(period, heatStep), heatStep, signal),
    prometheus.exemplars(promql.serviceExemplars(service), period, signal),
    redAnswers(period, signal, promql.spanCount(service, window), promql.spanRate(service, window), promql.spanFailedRate(service, window), (q) => promql.spanQuantile(q, service, window)),
  ]);
  return { period, step, rate, errors, quantiles: lines, buckets, heatStep, exemplars, spans: spanRows(spans) };
}

async function redAnswers({ end }: Period, signal: AbortSignal, countQuery: string, rateQuery: string, errorQuery: string, quantile: (q: number) => string): Promise<RedAnswers> {
  const [count, rate, errors, p50, p95, p99] = await Promise.all([countQuery, rateQuery, errorQuery, ...quantiles.map(quantile)].map((q) => prometheus.vector(q, end, signal)));
  return { count: count!, rate: rate!, errors: errors!, p50: p50!, p95: p95!, p99: p99! };
}
