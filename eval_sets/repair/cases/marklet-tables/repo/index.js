'use strict';

const { toHtml } = require('./lib/blocks');
const { outline, slugs } = require('./lib/outline');
const { checkLinks } = require('./lib/links');

module.exports = { checkLinks, outline, slugs, toHtml };
