export * from './event-recorder.js'
export * from './seeded-random.js'
export * from './virtual-clock.js'
