export type { InspectedCommand, InspectionStats, StorageInspection } from './inspection.js'
export { LocalStorage } from './local-storage.js'
export type { Durability, LocalStorageOptions } from './options.js'
export type { StorageStats } from './stats.js'
