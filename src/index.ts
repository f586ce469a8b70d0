/** Lane: a lane-based priority command queue for asynchronous work. The in-process API. */
export * from './core/index.js'
export {
  type BoostStep,
  type BreakerOptions,
  type BreakerState,
  type Cost,
  type DedupeMode,
  type DedupeOptions,
  type ExponentialOptions,
  type Jitter,
  PriorityBoostConfig,
  type PriorityBoostFields,
  type RateLimitAlgorithm,
  RateLimitConfig,
  type RateLimitFields,
  RateLimitGroup,
  type RateLimitOptions,
  RetryPolicy,
  type RetryPolicyFields,
} from './policy/index.js'
export * from './sdk/index.js'
