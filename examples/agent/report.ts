/** What is printed in the end: the timeline, the lanes, and whether everything was as it was recorded. */
import { chart, LEGEND, laneTable, type Paint } from './chart.js'
import { mostAtOnce, type Row, type Timeline } from './timeline.js'

/** Prints when which command waited and ran, as wide as the terminal has cells. */
export function showTimeline(timeline: Timeline, width: number, paint: Paint): void {
  const { rows, pauses } = timeline
  const line = (text = ''): void => console.log(text)
  const window = { from: 0, to: Math.max(...rows.map(endOf)) }
  line(`\n${paint('bold', 'Every command, in the order in which they were submitted')}\n`)
  chart(rows, { window, pauses, width, paint }).forEach(line)
  line(`\n ${LEGEND}`)

  const burst = firstBurst(rows)
  if (burst.length > 0) {
    const closeUp = { from: Math.min(...burst.map(startOf)), to: Math.max(...burst.map(endOf)) }
    line(`\n${paint('bold', 'Close up: the first reads of the model, four at a time')}\n`)
    chart(burst, { window: closeUp, pauses: [], width, paint }).forEach(line)
  }

  line()
  laneTable(rows, paint).forEach(line)
  line()
}

/** What the turns came to. */
type Outcome = {
  /** Exit codes of the tests that were run in them. */
  readonly tests: readonly number[]
  readonly isMended: boolean
}

/** Prints whether everything was as it has to be with the recording, and says it. */
export function showChecks(timeline: Timeline, { tests, isMended }: Outcome): boolean {
  const { rows, pauses } = timeline
  const burst = firstBurst(rows)
  const checks = {
    'reads ran four at a time, and the others waited': mostAtOnce(burst) === 4 && burst.length > 4,
    'the tests failed before the edit and passed after it': tests.length === 2 && tests[0] !== 0 && tests[1] === 0,
    'the fault is mended': isMended,
    'a 429 closed the generate lane and spent no retry': timeline.retries === 0 && timeline.deferrals === 1,
    'nothing started in the pause': pauses.length === 1 && timeline.startedInPause === 0,
    'both workers did commands of the execute lane, at the same time': bothWorked(rows),
  }
  for (const [check, holds] of Object.entries(checks)) console.log(`${holds ? 'yes' : 'NO '}  ${check}`)
  return Object.values(checks).every(Boolean)
}

const startOf = ({ spans }: Row): number => spans[0]?.from ?? 0
const endOf = ({ spans }: Row): number => spans.at(-1)?.to ?? 0

/** The query commands that were submitted together, the first ones. */
function firstBurst(rows: readonly Row[]): readonly Row[] {
  const from = rows.findIndex(({ lane }) => lane === 'query')
  const rest = from < 0 ? [] : rows.slice(from)
  const count = rest.findIndex(({ lane }) => lane !== 'query')
  return count < 0 ? rest : rest.slice(0, count)
}

function bothWorked(rows: readonly Row[]): boolean {
  const outside = rows.filter(({ who }) => /^w\d/.test(who))
  return new Set(outside.map(({ who }) => who)).size === 2 && mostAtOnce(outside) === 2
}
