// Settings of a shop, and what applies where a shop has set nothing.

const DEFAULTS = {
  currency: 'EUR',
  taxPercent: 20,
  freeShippingFrom: 5000,
  shipping: { standard: 490, express: 1290 },
};

/** The settings of one shop. Amounts are in cents. A setting of 0 is one; undefined and null are none. */
export function settingsOf(given = {}) {
  const settings = { ...DEFAULTS, shipping: { ...DEFAULTS.shipping, ...given.shipping } };
  for (const [name, value] of Object.entries(given)) {
    if (name !== 'shipping' && value !== undefined && value !== null) settings[name] = value;
  }
  return settings;
}
