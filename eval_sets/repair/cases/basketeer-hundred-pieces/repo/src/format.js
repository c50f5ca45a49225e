// Amounts for people.

const SIGNS = { EUR: '€', USD: '$', GBP: '£' };

/** 123456 as "1,234.56 €". */
export function money(cents, currency = 'EUR') {
  const sign = cents < 0 ? '-' : '';
  const digits = String(Math.abs(cents)).padStart(3, '0');
  const units = digits.slice(0, -2).replace(/(?=(\d{3})+$)(?!^)/g, ',');
  return `${sign}${units}.${digits.slice(-2)} ${SIGNS[currency] ?? currency}`;
}

/** The bill as lines of text. */
export function receipt(basket, kind) {
  const bill = basket.bill(kind);
  const { currency } = basket.settings;
  const rows = basket.lines.map((line) => [`${line.pieces} x ${line.title}`, line.total]);
  if (bill.reduction) rows.push(['Discount', -bill.reduction]);
  rows.push(['Shipping', bill.shipping], ['Total', bill.total], ['of which tax', bill.tax]);
  const amounts = rows.map(([, cents]) => money(cents, currency));
  const width = Math.max(...amounts.map((text) => text.length));
  return rows.map(([text], at) => `${text.padEnd(24)}${amounts[at].padStart(width)}`).join('\n');
}
