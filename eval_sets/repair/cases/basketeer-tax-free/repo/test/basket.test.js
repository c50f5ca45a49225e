import assert from 'node:assert/strict';
import test from 'node:test';
import { Basket, money, receipt, settingsOf } from '../src/index.js';

const tea = { id: 't', title: 'Tea', price: 400 };
const book = { id: 'b', title: 'Book', price: 2000, discountable: false };

test('a bill', () => {
  const basket = new Basket().add(tea, 2).add(book).add(tea);
  assert.deepEqual(basket.bill(), { goods: 3200, reduction: 0, shipping: 490, total: 3690, tax: 615 });
});

test('a discount is not for all', () => {
  const basket = new Basket().add(tea, 2).add(book).discount(10);
  assert.equal(basket.reduction, 80);
  assert.equal(basket.discount(50, { upTo: 300 }).reduction, 300);
});

test('free shipping', () => {
  assert.equal(new Basket().add(tea, 13).shipping(), 0);
  assert.equal(new Basket().add(tea, 13).shipping('express'), 1290);
  assert.throws(() => new Basket().shipping('pigeon'), RangeError);
});

test('a shop without tax and one with free shipping for all', () => {
  assert.equal(new Basket({ taxPercent: 0 }).add(tea).bill().tax, 0);
  assert.equal(new Basket({ freeShippingFrom: 0 }).add(tea).bill().total, 400);
});

test('a second shop', () => {
  const one = settingsOf({ shipping: { express: 900 } });
  assert.equal(one.shipping.express, 900);
  assert.equal(one.shipping.standard, 490);
  assert.equal(settingsOf().shipping.express, 1290);
});

test('setting pieces', () => {
  const basket = new Basket().add(tea, 2).set('t', 5);
  assert.equal(basket.goods, 2000);
  assert.equal(basket.set('t', 0).bill().total, 0);
  assert.throws(() => basket.set('t', 1), RangeError);
});

test('texts', () => {
  assert.deepEqual([0, 5, -75, 123456, 100000000].map((n) => money(n)),
    ['0.00 €', '0.05 €', '-0.75 €', '1,234.56 €', '1,000,000.00 €']);
  assert.equal(receipt(new Basket().add(tea)).split('\n')[0], '1 x Tea                 4.00 €');
});
