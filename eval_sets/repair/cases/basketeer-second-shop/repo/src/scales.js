// Prices that fall with the number of pieces.

/** A scale from an object: { 1: 500, 10: 450 } means 500 cents each, and 450 each from 10 pieces on. */
export function scaleOf(prices) {
  const steps = Object.keys(prices).map(Number).sort((one, other) => one - other);
  if (steps.length === 0 || steps[0] !== 1) throw new RangeError('a scale begins with 1 piece');
  if (steps.some((step) => !Number.isInteger(step))) throw new RangeError('pieces are whole');
  return steps.map((from) => ({ from, price: prices[from] }));
}

/** The price of each of so many pieces. */
export function priceFor(scale, pieces) {
  let found = scale[0].price;
  for (const step of scale) {
    if (step.from > pieces) break;
    found = step.price;
  }
  return found;
}

/** How many more pieces it takes until each is cheaper, and the price then; null if it never gets cheaper. */
export function nextStep(scale, pieces) {
  const now = priceFor(scale, pieces);
  const step = scale.find(({ from, price }) => from > pieces && price < now);
  return step ? { more: step.from - pieces, price: step.price } : null;
}
