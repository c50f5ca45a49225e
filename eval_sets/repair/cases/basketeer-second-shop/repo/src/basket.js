// A basket: articles with pieces, a discount, shipping and tax.

import { settingsOf } from './options.js';
import { priceFor, scaleOf } from './scales.js';

export class Basket {
  #lines = new Map();
  #discount = null;

  constructor(options) {
    this.settings = settingsOf(options);
  }

  /** Adds pieces of an article, { id, title, prices } or { id, title, price, discountable }. */
  add(article, pieces = 1) {
    if (!Number.isInteger(pieces) || pieces < 1) throw new RangeError('add 1 piece or more');
    const line = this.#lines.get(article.id);
    if (line) {
      line.pieces += pieces;
      return this;
    }
    const scale = scaleOf(article.prices ?? { 1: article.price });
    this.#lines.set(article.id, { article, scale, pieces });
    return this;
  }

  /** Sets the number of pieces; 0 removes the article. */
  set(id, pieces) {
    const line = this.#lines.get(id);
    if (!line) throw new RangeError(`no article ${id} in the basket`);
    if (pieces === 0) this.#lines.delete(id);
    else line.pieces = pieces;
    return this;
  }

  /** A discount in percent on all articles that allow one; `upTo` is the most in cents that it may be. */
  discount(percent, { upTo = Infinity } = {}) {
    if (!(percent >= 0 && percent <= 100)) throw new RangeError('a discount is 0 to 100 percent');
    this.#discount = { percent, upTo };
    return this;
  }

  get lines() {
    return [...this.#lines.values()].map(({ article, scale, pieces }) => {
      const each = priceFor(scale, pieces);
      return { id: article.id, title: article.title, pieces, each, total: each * pieces };
    });
  }

  get goods() {
    return this.lines.reduce((sum, line) => sum + line.total, 0);
  }

  get reduction() {
    if (!this.#discount) return 0;
    let base = 0;
    for (const line of this.lines) {
      if (this.#lines.get(line.id).article.discountable ?? true) base += line.total;
    }
    return Math.min(Math.round((base * this.#discount.percent) / 100), this.#discount.upTo);
  }

  shipping(kind = 'standard') {
    const price = this.settings.shipping[kind];
    if (price === undefined) throw new RangeError(`no shipping ${kind}`);
    const goods = this.goods - this.reduction;
    return kind === 'standard' && goods >= this.settings.freeShippingFrom ? 0 : price;
  }

  /** All amounts, in cents; the tax is part of the total. */
  bill(kind) {
    const shipping = this.#lines.size === 0 ? 0 : this.shipping(kind);
    const total = this.goods - this.reduction + shipping;
    const { taxPercent } = this.settings;
    const tax = Math.round((total * taxPercent) / (100 + taxPercent));
    return { goods: this.goods, reduction: this.reduction, shipping, total, tax };
  }
}
