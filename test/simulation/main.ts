/** What the command line loads, after bundling: see build.mjs. */
export { checkers } from './checkers/index.js'
export { runStorageSweep } from './durable/index.js'
export { availableFeatures } from './features.js'
export { FEATURES } from './options.js'
export { runSeed, type SeedResult } from './run-seed.js'
export { runScope } from './scope/index.js'
export { findSites, runSweep } from './sweep/index.js'
