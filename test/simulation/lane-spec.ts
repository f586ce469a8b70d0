/** The options of a lane as the simulation knows them: plain data, with a name for everything that a seed may draw. */

export type RetrySpec = {
  readonly maxRetries: number
  readonly initialMs: number
  readonly maxMs: number
  readonly factor: number
  readonly jitter: 'none' | 'full' | 'equal'
}

export type RateSpec = {
  readonly maxCommands: number
  readonly windowMs: number
  readonly algorithm: 'token-bucket' | 'sliding-window'
  readonly burst?: number
  readonly unit?: string
  readonly group?: string
}

export type BoostSpec = {
  readonly enabled: boolean
  readonly deadlineMs: number
  readonly boostIntervals: readonly { readonly remainingMs: number; readonly boost: number }[]
}

export type BreakerSpec = {
  readonly failureRatio: number
  readonly minimum: number
  readonly windowMs: number
  readonly openMs: number
  readonly halfOpen: number
}

export type LaneSpec = {
  readonly priority: number
  readonly minConcurrency: number
  readonly maxConcurrency: number
  readonly protected?: boolean
  readonly lend?: boolean
  readonly timeoutMs?: number
  readonly retry?: RetrySpec
  readonly pressureThreshold?: number
  readonly capacity?: number
  readonly order?: 'fifo' | 'lifo'
  readonly zombieGraceMs?: number
  readonly maxDeferrals?: number
  readonly rateLimit?: readonly RateSpec[]
  readonly priorityBoost?: BoostSpec
  readonly fairness?: 'none' | 'key'
  readonly keyConcurrency?: number
  readonly breaker?: BreakerSpec
  readonly preempts?: boolean
  readonly preemptible?: boolean
  readonly preemptGraceMs?: number
}

export type Cost = number | { readonly [unit: string]: number }

/** Submit options that a seed may draw. */
export type SubmitSpec = {
  readonly id?: string
  readonly priority?: number
  readonly timeoutMs?: number
  readonly retry?: RetrySpec
  readonly delayMs?: number
  readonly deadlineMs?: number
  readonly key?: string
  readonly weight?: number
  readonly cost?: Cost
  readonly dedupe?: { readonly id: string; readonly ttlMs?: number; readonly mode: 'drop' | 'replace' | 'keep-last' }
  readonly detached?: boolean
  readonly signal?: AbortSignal
}
