/** Lane: a lane-based priority command queue for asynchronous work. The in-process API. */
export * from './core/index.js'
export * from './policy/index.js'
export * from './sdk/index.js'
