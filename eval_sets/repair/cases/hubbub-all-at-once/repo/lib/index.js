export { Bridge } from './bridge.js';
export { Emitter } from './emitter.js';
export { matcher } from './patterns.js';
export { Queue } from './queue.js';
