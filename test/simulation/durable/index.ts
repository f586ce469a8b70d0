export { runDurable } from './run-durable.js'
export { runStorageSweep } from './storage-sweep.js'
