'use strict'

/** @param {unknown} payload */
module.exports = (payload) => `common ${payload}`
