export { Basket } from './basket.js';
export { money, receipt } from './format.js';
export { settingsOf } from './options.js';
export { nextStep, priceFor, scaleOf } from './scales.js';
