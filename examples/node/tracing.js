// Starts the OpenTelemetry SDK before the tests and sends what it holds after them.
// The OTEL_* variables decide where spans go.
'use strict';

const { NodeSDK } = require('@opentelemetry/sdk-node');
const { after } = require('node:test');

const sdk = new NodeSDK({ serviceName: 'shop' });
sdk.start();
after(() => sdk.shutdown());
