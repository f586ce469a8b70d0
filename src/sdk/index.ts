export * from './lane.js'
