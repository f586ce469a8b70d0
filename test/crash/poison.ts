/** A command that kills its process whenever it runs: it has to be given up after its recoveries, and hurt nothing else. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { checkHistory, isRight, type Judgement } from './check-history.js'
import { type HistoryRecord, readHistory } from './history.js'
import { limits } from './torture-plan.js'
import { Victim } from './victim.js'

export type Poisoning = {
  /** Numbers of the attempts that began. */
  readonly attempts: readonly number[]
  /** How each process ended. */
  readonly ends: readonly (number | string | null)[]
  readonly state: HistoryRecord['state']
  readonly hasLetter: boolean
  readonly judgement: Judgement
}

const NAME = 'poison-1'
/** More processes than it may kill. */
const MOST = 8

/** Starts processes on one file until one of them comes to the end. */
export async function poison(program: string, folder: string): Promise<Poisoning> {
  const history = join(folder, 'history')
  mkdirSync(history, { recursive: true })
  const ends: (number | string | null)[] = []
  for (let number = 1; number <= MOST && ends.at(-1) !== 0; number++) {
    const victim = new Victim(program)
    await victim.warm
    const again = number === 1 ? [NAME, 'bystander-1', 'bystander-2'] : []
    victim.order({
      process: `p${number}`,
      path: join(folder, 'lane.db'),
      history,
      mode: 'drain',
      seed: number,
      durability: 'full',
      again,
      cold: 0,
    })
    ends.push(await victim.ended)
    if (ends.at(-1) !== 'SIGKILL' && ends.at(-1) !== 0)
      throw new Error(`poisoned, it ended otherwise: ${victim.errors}`)
  }
  const records = readHistory(history)
  const own = records.filter(({ command }) => command === NAME)
  const judgement = checkHistory(records, limits)
  return {
    attempts: own.flatMap(({ op, attempt }) => (op === 'start' && attempt !== undefined ? [attempt] : [])),
    ends,
    state: own.filter(({ op }) => op === 'settle').at(-1)?.state,
    hasLetter: own.some(({ op }) => op === 'letter'),
    judgement,
  }
}

/** Four attempts, as many processes, one dead letter, and nothing else amiss. */
export function judgePoisoning({ attempts, ends, state, hasLetter, judgement }: Poisoning): string | undefined {
  if (attempts.join() !== '1,2,3,4') return `attempts ${attempts.join()} for 1,2,3,4`
  if (ends.filter((end) => end === 'SIGKILL').length !== 4) return `processes ended with ${ends.join()}`
  if (state !== 'failed' || !hasLetter)
    return `it is ${state ?? 'unsettled'}, ${hasLetter ? 'with' : 'without'} a dead letter`
  return isRight(judgement) ? undefined : `found ${JSON.stringify(judgement.violations)}`
}
