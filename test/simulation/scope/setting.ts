/** The small scopes that are explored: two lanes under a cap, two or three commands, and how often each thing may be done. */
import type { LaneDefinition, SubmitOptions } from '@a3s-lab/lane'

export type CommandSpec = {
  readonly laneId: string
  readonly options?: SubmitOptions
  /** No handler is registered for it. */
  readonly isOrphan?: boolean
}

export type Setting = {
  readonly name: string
  readonly lanes: Readonly<Record<string, LaneDefinition>>
  readonly cap: number
  readonly commands: readonly CommandSpec[]
  /** How often a command may save, yield and snooze, and a lane be paused. */
  readonly saves?: number
  readonly yields?: number
  readonly snoozes?: number
  readonly pauses?: number
  /** Most operations in a row. */
  readonly depth: number
}

const FAIL_ONCE = { maxRetries: 1, initialMs: 30, maxMs: 30, factor: 1, jitter: 'none' } as const

const control: LaneDefinition = { priority: 0, minConcurrency: 0, maxConcurrency: 2, preempts: true, zombieGraceMs: 50 }
const work: LaneDefinition = {
  ...{ priority: 1, minConcurrency: 0, maxConcurrency: 2, preemptible: true, preemptGraceMs: 20, zombieGraceMs: 50 },
}
const C: CommandSpec = { laneId: 'control' }
const W: CommandSpec = { laneId: 'work' }

export const settings: readonly Setting[] = [
  {
    name: 'one preempts one, with a timeout and a retry',
    lanes: { control, work: { ...work, timeoutMs: 100, retry: FAIL_ONCE } },
    cap: 1,
    commands: [C, W],
    ...{ saves: 1, yields: 1, pauses: 1, depth: 7 },
  },
  {
    name: 'one preempts two under a cap of 1',
    lanes: { control, work },
    cap: 1,
    commands: [C, W, W],
    ...{ saves: 1, yields: 1, depth: 9 },
  },
  {
    name: 'one preempts two under a cap of 2, with pauses',
    lanes: { control, work },
    cap: 2,
    commands: [C, W, W],
    ...{ yields: 1, pauses: 1, depth: 6 },
  },
  {
    name: 'two preempt one, with retries',
    lanes: { control: { ...control, retry: FAIL_ONCE }, work: { ...work, maxConcurrency: 1, retry: FAIL_ONCE } },
    cap: 1,
    commands: [C, C, W],
    ...{ yields: 1, depth: 9 },
  },
  {
    name: 'no preemption: delays, snoozes, timeouts, no handler',
    lanes: {
      control: { priority: 0, minConcurrency: 0, maxConcurrency: 1, timeoutMs: 100, zombieGraceMs: 50 },
      work: { priority: 1, minConcurrency: 0, maxConcurrency: 1, retry: FAIL_ONCE },
    },
    cap: 1,
    commands: [C, { ...W, options: { delayMs: 40 } }, { ...W, isOrphan: true }],
    ...{ yields: 2, snoozes: 1, depth: 8 },
  },
]
