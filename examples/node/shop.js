// A shop that takes orders, instrumented by OpenTelemetry's API.
'use strict';

const { trace, SpanKind, SpanStatusCode } = require('@opentelemetry/api');

const tracer = trace.getTracer('shop');

/** Runs work inside of a span; what it throws marks the span as failed. */
function traced(name, kind, work) {
  return tracer.startActiveSpan(name, { kind }, async (span) => {
    try {
      return await work(span);
    } catch (err) {
      span.setStatus({ code: SpanStatusCode.ERROR, message: err.message });
      throw err;
    } finally {
      span.end();
    }
  });
}

/** Looks up the stock of all articles at once and charges the card. */
exports.checkout = (articles, card) =>
  traced('checkout', SpanKind.SERVER, async (span) => {
    span.setAttribute('cart.size', articles.length);
    await traced('SELECT stock', SpanKind.CLIENT, async () => {});
    await traced('charge', SpanKind.CLIENT, async () => {
      if (!card) throw new Error('card declined');
    });
  });
