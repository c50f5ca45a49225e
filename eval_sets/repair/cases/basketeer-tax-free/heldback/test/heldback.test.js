import assert from 'node:assert/strict';
import test from 'node:test';
import { Basket, nextStep, priceFor, scaleOf, settingsOf } from '../src/index.js';

const article = { id: 'a', title: 'A', price: 1000 };

test('scales of many sizes against a slow rule', () => {
  let seed = 7;
  const random = (most) => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed % most;
  };
  for (let round = 0; round < 100; round += 1) {
    const prices = { 1: 5000 };
    for (let n = random(5); n >= 0; n -= 1) prices[2 + random(2000)] = 1000 + random(4000);
    const scale = scaleOf(prices);
    for (const pieces of [1, 2, 9, 10, 11, 99, 100, 101, 999, 1000, 2500]) {
      const from = Math.max(...Object.keys(prices).map(Number).filter((step) => step <= pieces));
      assert.equal(priceFor(scale, pieces), prices[from]);
      const next = nextStep(scale, pieces);
      const cheaper = Object.keys(prices).map(Number).filter((step) => step > pieces && prices[step] < prices[from]);
      assert.deepEqual(next, cheaper.length ? { more: Math.min(...cheaper) - pieces, price: prices[Math.min(...cheaper)] } : null);
    }
  }
});

test('zero is a setting and nothing is none', () => {
  const settings = settingsOf({ taxPercent: 0, freeShippingFrom: 0, currency: null, shipping: { standard: 0 } });
  assert.deepEqual(settings, { currency: 'EUR', taxPercent: 0, freeShippingFrom: 0, shipping: { standard: 0, express: 1290 } });
  assert.equal(settingsOf({ taxPercent: undefined }).taxPercent, 20);
  assert.equal(settingsOf({ shipping: null }).shipping.standard, 490);
  assert.equal(settingsOf({ note: '' }).note, '');
  assert.equal(settingsOf({ gift: false }).gift, false);
});

test('shops do not share what they set', () => {
  const options = { taxPercent: 7, shipping: { standard: 100, pigeon: 1 } };
  const first = new Basket(options).add(article);
  const second = new Basket({ shipping: { express: 5 } }).add(article);
  const third = new Basket().add(article);
  assert.deepEqual([first, second, third].map((one) => one.shipping()), [100, 490, 490]);
  assert.deepEqual([first, second, third].map((one) => one.shipping('express')), [1290, 5, 1290]);
  assert.throws(() => third.shipping('pigeon'), RangeError);
  assert.deepEqual([first, second, third].map((one) => one.settings.taxPercent), [7, 20, 20]);
  third.settings.shipping.standard = 1;
  assert.equal(new Basket().settings.shipping.standard, 490);
  assert.deepEqual(options, { taxPercent: 7, shipping: { standard: 100, pigeon: 1 } });
});
