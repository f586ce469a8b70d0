/** One trial: a provider, a queue in front of it, people and documents, for a while; and what came of it. */
import { setTimeout as sleep } from 'node:timers/promises'
import { isLaneError, type LaneOptions, QueueManager } from '@a3s-lab/lane'
import { complete } from './client.js'
import { newPrompts, type Prompt } from './prompts.js'
import { type Ask, type Booking, type Limits, Provider } from './provider.js'

export type Outcome = {
  /** What the provider has accepted, by its own books; instants are milliseconds from the start. */
  readonly accepted: readonly Booking[]
  readonly refused: number
  /** How long each question took to be answered, in milliseconds, shortest first. */
  readonly answers: readonly number[]
}

const SESSIONS = 4
/** How long a person looks at an answer. These people read fast. */
const READING_MS = 100
const DOCUMENTS = 1000

/** What both lanes have in common, limits apart: a refused call comes back as often as it takes. */
const LANE = { maxConcurrency: 32, maxDeferrals: 1000 }

/** Works for `workMs` with these options for both lanes. */
export async function tryOut(limits: Limits, workMs: number, options: LaneOptions): Promise<Outcome> {
  const provider = new Provider(limits)
  const url = await provider.open()
  const queue = new QueueManager({
    lanes: { chat: { priority: 0, ...LANE, ...options }, batch: { priority: 1, ...LANE, ...options } },
  })
  queue.handle<Ask>('complete', async (ask, { signal, charge }) => {
    try {
      charge({ tokens: await complete(url, ask, signal) }) // what it really was: the rest of the estimate goes back
    } catch (error) {
      charge({ tokens: 0 }) // a refused call has used none
      throw error
    }
  })
  await queue.start()
  const startedAt = performance.now()
  const answers = await work(queue, workMs)
  await queue.close({ timeoutMs: 2000 })
  await provider.close()
  return {
    accepted: provider.accepted.map(({ at, tokens }) => ({ at: at - startedAt, tokens })),
    refused: provider.refused,
    answers: answers.sort((a, b) => a - b),
  }
}

/** Four people in conversations, and a pile of documents, until the time is up. */
async function work(queue: QueueManager, workMs: number): Promise<number[]> {
  const { question, document } = newPrompts()
  const submit = (laneId: string, { ask, estimate }: Prompt) =>
    queue.submit(laneId, { type: 'complete', payload: ask }, { cost: { tokens: estimate } })
  for (let n = 0; n < DOCUMENTS; n++) void submit('batch', document())

  const answers: number[] = []
  const converse = async (): Promise<void> => {
    for (;;) {
      const askedAt = performance.now()
      await submit('chat', question())
      answers.push(performance.now() - askedAt)
      await sleep(READING_MS)
    }
  }
  const sessions = Array.from({ length: SESSIONS }, converse)
  await sleep(workMs)
  await queue.shutdown() // the next question is refused, and each conversation ends with that
  queue.lane('batch').clear('the time is up')
  for (const { reason } of (await Promise.allSettled(sessions)) as PromiseRejectedResult[]) {
    if (!isLaneError(reason) || reason.code !== 'SHUTTING_DOWN') throw reason
  }
  return answers
}
