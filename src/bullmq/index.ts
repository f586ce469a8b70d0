export { BullMQEngine } from './bullmq-engine.js'
export { GAPS, type Gap, MAPPING, type Mapped } from './mapping.js'
export type { BullMQEngineOptions, BullMQPostgres, BullMQRetention } from './options.js'
