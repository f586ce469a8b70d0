'use strict'

Object.defineProperty(exports, '__esModule', { value: true })
/** @param {unknown} payload */
exports.default = (payload) => `compiled ${payload}`
