export { findSites } from './call-sites.js'
export { runSweep } from './sweep.js'
