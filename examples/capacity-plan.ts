/** How many slots may prompts have? Five minutes of traffic against each answer, in virtual time, before anybody is hurt. */
import type { Random } from '@a3s-lab/lane'
import { merge, poisson, simulate, trace } from '@a3s-lab/lane/testing'

const SLOTS = 8
const MINUTES = 5
const untilMs = MINUTES * 60_000
/** Most of these commands are short and a few are long. */
const around = (meanMs: number) => (random: Random) => -Math.log(1 - random.next()) * meanMs

/** The same for every answer: what arrives, and how long each command takes, does not depend on the lanes. */
const traffic = merge(
  trace(poisson(2, { untilMs }), { laneId: 'control', runsFor: 3 }),
  trace(poisson(20, { untilMs, seed: 2 }), { laneId: 'query', runsFor: around(80) }),
  trace(poisson(1.2, { untilMs, seed: 3 }), { laneId: 'prompt', runsFor: around(2500) }),
)

async function withPromptSlots(slots: number) {
  const { lanes } = await simulate({
    lanes: {
      control: { priority: 0, protected: true }, // one slot is kept for it
      query: { priority: 1, minConcurrency: 0, maxConcurrency: SLOTS },
      prompt: { priority: 2, minConcurrency: 0, maxConcurrency: slots },
    },
    maxConcurrency: SLOTS,
    arrivals: traffic,
    untilMs,
  })
  return { slots, ...lanes }
}

const goals = 'control waits at most 5 ms; 99 of 100 queries at most 200 ms, prompts 10 s'
console.log(`${MINUTES} minutes, ${SLOTS} slots. Goals: ${goals}\n`)
console.log('prompt slots  control max  query p99  prompt p99  prompts/min  slots busy')
const fitting: number[] = []
for (let slots = 1; slots <= SLOTS; slots++) {
  const { control, query, prompt } = await withPromptSlots(slots)
  const holds = control.waits.max <= 5 && query.waits.p99 <= 200 && prompt.waits.p99 <= 10_000
  if (holds) fitting.push(slots)
  const busy = (control.busyMs + query.busyMs + prompt.busyMs) / (SLOTS * untilMs)
  const cells = [
    String(slots).padStart(12),
    `${control.waits.max.toFixed(0).padStart(10)} ms`,
    `${query.waits.p99.toFixed(0).padStart(6)} ms`,
    `${(prompt.waits.p99 / 1000).toFixed(1).padStart(8)} s`,
    (prompt.throughputPerSecond * 60).toFixed(1).padStart(11),
    `${(busy * 100).toFixed(0).padStart(8)} %`,
  ]
  console.log(cells.join('  '), holds ? ' fits' : '')
}
console.log(fitting.length > 0 ? `\nprompt needs ${fitting[0]} slots` : '\nnothing fits')
process.exitCode = fitting.length > 0 ? 0 : 1
