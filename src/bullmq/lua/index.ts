/** The Lua of the scripts. */
export * from './add.js'
export * from './add-many.js'
export * from './claim.js'
export * from './end.js'
export * from './rate.js'
export * from './shared.js'
export * from './turn.js'
export * from './upkeep.js'
