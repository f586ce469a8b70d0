/** A timeline as text: a row for each command, its bar as wide as the terminal leaves room. */
import { lengthOf, mostAtOnce, type Pause, type Row, type Span } from './timeline.js'

const COLOURS = { control: 35, query: 36, execute: 33, generate: 32, dim: 2, bold: 1 } as const

/** Colours a text, or leaves it alone where colours are not wanted. */
export type Paint = (colour: keyof typeof COLOURS, text: string) => string

export const painter = (hasColours: boolean): Paint =>
  hasColours ? (colour, text) => `\u001b[${COLOURS[colour]}m${text}\u001b[0m` : (_colour, text) => text

type Window = { readonly from: number; readonly to: number }

export type ChartOptions = {
  readonly window: Window
  readonly pauses: readonly Pause[]
  /** Cells of the terminal. */
  readonly width: number
  readonly paint: Paint
}

const LANE_CELLS = 8
const WHO_CELLS = 5
const TIME_CELLS = 6
const NARROWEST_LABEL = 19

/** Without the label and the bar: the other columns, and a blank before each column. */
const OTHER_CELLS = 1 + LANE_CELLS + 1 + 1 + WHO_CELLS + 1 + TIME_CELLS + 1 + TIME_CELLS + 1

/** The chart's lines: heads, rows in the order of their submission, and the time. */
export function chart(rows: readonly Row[], options: ChartOptions): string[] {
  const { width, paint, window } = options
  const free = Math.max(NARROWEST_LABEL + 10, width - 1 - OTHER_CELLS)
  const labelCells = Math.max(NARROWEST_LABEL, Math.floor(free * 0.38))
  const barCells = free - labelCells
  const columns = (lane: string, label: string, who: string, waited: string, ran: string): string =>
    ` ${lane} ${fitted(label, labelCells)} ${fitted(who, WHO_CELLS)} ${waited.padStart(TIME_CELLS)} ${ran.padStart(TIME_CELLS)} `
  const head = columns(fitted('lane', LANE_CELLS), 'command', 'by', 'waited', 'ran')
  const lines = rows.map((row) => {
    const lane = paint(row.lane, fitted(row.lane, LANE_CELLS))
    const texts = [row.label, row.who, duration(lengthOf(row, 'waits')), duration(lengthOf(row, 'runs'))] as const
    return columns(lane, ...texts) + bar(row, barCells, options)
  })
  return [paint('dim', head + axis(window, barCells)), ...lines]
}

const RUNS = '█'
const WAITS = '░'
const HELD = '▒'
const PAUSE = '·'
export const LEGEND = `${RUNS} runs   ${WAITS} waits   ${HELD} waits because of a pause   ${PAUSE} pause`

/** Each cell shows what took most of its time. What ran is seen in one cell at least, however short it was. */
function bar({ lane, spans }: Row, cells: number, { window, pauses, paint }: ChartOptions): string {
  const step = (window.to - window.from) / cells
  const shown = Array.from({ length: cells }, (_, cell) => {
    const here = { from: window.from + cell * step, to: window.from + (cell + 1) * step }
    const [ran, waited] = (['runs', 'waits'] as const).map((what) => sharedBy(here, spans, what)) as [number, number]
    const isPause = pauses.some((pause) => shared(pause, here) > step / 2)
    if (ran + waited < step / 2) return isPause ? PAUSE : ' '
    if (ran >= waited) return RUNS
    return isPause ? HELD : WAITS
  })
  for (const { what, from, to } of spans) {
    if (what !== 'runs') continue
    const first = cellOf(from, window, cells)
    const last = cellOf(to, window, cells)
    if (!shown.slice(first, last + 1).includes(RUNS)) shown[first] = RUNS
  }
  return shown
    .join('')
    .trimEnd()
    .replace(/█+/g, (text) => paint(lane, text))
    .replace(/·+/g, (text) => paint('dim', text))
}

const shared = (a: Window, b: Window): number => Math.max(0, Math.min(a.to, b.to) - Math.max(a.from, b.from))

const sharedBy = (cell: Window, spans: readonly Span[], what: Span['what']): number =>
  spans.reduce((sum, span) => (span.what === what ? sum + shared(span, cell) : sum), 0)

const cellOf = (at: number, { from, to }: Window, cells: number): number =>
  Math.min(cells - 1, Math.floor(((at - from) / (to - from)) * cells))

function axis({ from, to }: Window, cells: number): string {
  const [first, last] = [duration(from), duration(to)]
  return `${first} ${'─'.repeat(Math.max(1, cells - first.length - last.length - 2))} ${last}`
}

/** What each lane came to. */
export function laneTable(rows: readonly Row[], paint: Paint): string[] {
  const lanes = (['control', 'query', 'execute', 'generate'] as const).map((lane) => {
    const own = rows.filter((row) => row.lane === lane)
    const waits = own.map((row) => lengthOf(row, 'waits'))
    const ran = own.reduce((sum, row) => sum + lengthOf(row, 'runs'), 0)
    const figures = [own.length, mostAtOnce(own), duration(Math.max(0, ...waits)), duration(ran)]
    return ` ${paint(lane, lane.padEnd(LANE_CELLS))}${figures.map((figure) => String(figure).padStart(13)).join('')}`
  })
  const heads = ['commands', 'at once', 'longest wait', 'ran in all'].map((head) => head.padStart(13))
  return [paint('dim', ` ${'lane'.padEnd(LANE_CELLS)}${heads.join('')}`), ...lanes]
}

/** A text that takes just so many cells; of a longer one its beginning. */
export const fitted = (text: string, cells: number): string =>
  text.length > cells ? `${text.slice(0, cells - 1)}…` : text.padEnd(cells)

/** Milliseconds, with the unit that reads best. */
export const duration = (ms: number): string => (ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`)
