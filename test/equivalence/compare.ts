/** The same traces on several back ends, and where they end otherwise than on the first. */
import { sorted } from '../support/bodies.js'
import { drawTrace, type Trace } from './trace.js'
import { type BackEnd, runTraces, type TraceOutcome } from './trace-run.js'

export type Comparison = {
  readonly traces: number
  readonly submits: number
  /** One text for each trace and back end that differs. */
  readonly differences: readonly string[]
}

export type ComparisonOptions = {
  readonly backEnds: readonly BackEnd[]
  readonly firstSeed: number
  readonly count: number
  /** Traces that one queue is put through at once. */
  readonly together: number
  readonly progress?: (done: number) => void
}

export async function compareTraces(options: ComparisonOptions): Promise<Comparison> {
  const { backEnds, firstSeed, count, together, progress } = options
  const differences: string[] = []
  let submits = 0
  for (let done = 0; done < count; done += together) {
    const size = Math.min(together, count - done)
    const traces = Array.from({ length: size }, (_, index) => drawTrace(firstSeed + done + index))
    submits += traces.reduce((sum, trace) => sum + trace.submits.length, 0)
    const [first, ...others] = await Promise.all(backEnds.map((backEnd) => outcomesOn(traces, backEnd)))
    for (const [index, other] of others.entries()) {
      const found = differencesOf(traces, first ?? [], other)
      differences.push(...found.map((text) => `${backEnds[index + 1]?.name}, ${text}`))
    }
    progress?.(done + size)
  }
  return { traces: count, submits, differences }
}

type Ending = TraceOutcome | string

/** What could not be ended has an outcome too: why. */
async function outcomesOn(traces: readonly Trace[], backEnd: BackEnd): Promise<Ending[]> {
  try {
    return await runTraces(traces, backEnd)
  } catch (error) {
    return traces.map(() => (error instanceof Error ? (error.stack ?? error.message) : String(error)))
  }
}

const differencesOf = (traces: readonly Trace[], expected: readonly Ending[], got: readonly Ending[]): string[] =>
  traces.flatMap(({ seed }, index) => {
    const found = difference(expected[index] ?? '', got[index] ?? '')
    return found === undefined ? [] : `seed ${seed}: ${found}`
  })

/** Where two outcomes differ first. */
function difference(expected: Ending, got: Ending): string | undefined {
  const [left, right] = [linesOf(expected), linesOf(got)]
  const index = left.findIndex((line, number) => line !== right[number])
  if (index < 0 && left.length === right.length) return undefined
  const at = index < 0 ? left.length : index
  return `\n    expected ${left[at] ?? 'nothing'}\n    got      ${right[at] ?? 'nothing'}`
}

function linesOf(outcome: Ending): string[] {
  if (typeof outcome === 'string') return [outcome]
  const { submits, attempts, letters, order } = outcome
  const names = sorted(Object.keys(attempts))
  return [
    ...submits.map((text, index) => `submit ${index}: ${text}`),
    ...names.map((name) => `attempts of ${name}: ${attempts[name]?.join(' ')}`),
    ...letters.map((text) => `letter: ${text}`),
    `order: ${order.join()}`,
  ]
}
