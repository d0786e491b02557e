// A shop with one page, instrumented by the OpenTelemetry SDK as its documentation
// says: no exporter, protocol or address is set here, so the SDK's defaults and the
// OTEL_* variables decide. It ends on SIGTERM, after the SDK has sent what it has.
'use strict';

const { NodeSDK } = require('@opentelemetry/sdk-node');
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http');

const sdk = new NodeSDK({ instrumentations: [new HttpInstrumentation()] });
sdk.start();

const { metrics, trace } = require('@opentelemetry/api');
const { logs, SeverityNumber } = require('@opentelemetry/api-logs');
const http = require('node:http'); // after the SDK, which wraps it

const orders = metrics.getMeter('shop').createCounter('shop.orders', { description: 'Orders taken.' });
const tracer = trace.getTracer('shop');
const logger = logs.getLogger('shop');

const server = http.createServer((request, response) => {
  tracer.startActiveSpan('take order', (span) => {
    orders.add(1, { article: 'tea' });
    logger.emit({ severityNumber: SeverityNumber.INFO, severityText: 'INFO', body: 'an order for tea' });
    span.end();
    response.end('thank you\n');
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening on ${server.address().port}`));

process.on('SIGTERM', async () => {
  server.close();
  server.closeAllConnections();
  await sdk.shutdown();
  console.log('sent everything');
});
