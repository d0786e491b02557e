'use strict';

const assert = require('node:assert');
const { test } = require('node:test');
const { checkout } = require('./shop');

test('an order is paid', () => checkout(['tea', 'cups'], '4242'));

test('a card is declined', () => assert.rejects(checkout(['tea'], ''), /card declined/));
