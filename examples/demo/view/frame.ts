/** One picture of the scene, as lines that fit the terminal. */
import { loadOf, SLOTS } from '../lanes.js'
import { resumedText, type Speech } from '../memory.js'
import { Samples } from '../samples.js'
import type { Scene } from '../scene.js'
import { duration, head, LANE_COLOURS, number, type Paint, padEnd, padStart, tail, width } from './paint.js'
import type { Rates } from './rates.js'

export type Size = { readonly columns: number; readonly rows: number }

/** What a picture is made with. */
export type Picture = {
  readonly scene: Scene
  readonly rates: Rates
  readonly said: string
  readonly size: Size
  readonly paint: Paint
}

/** Terminals wider than this get margins instead of longer lines. */
const WIDEST = 120

export function frame(picture: Picture): string[] {
  const { rows } = picture.size
  const speeches = [...picture.scene.memory.speeches.values()]
  const roomy = rows >= 32
  const gap = roomy ? [''] : []
  const top = [...title(picture), ...gap, ...lanes(picture)]
  const middle = [...gap, ...section(picture, 'generating'), ...generation(picture, speeches, roomy ? 2 : 1)]
  const control = [...section(picture, 'under load'), ...figures(picture)]
  const lines = [...top, ...middle, ...gap, ...control, ...gap, ...section(picture, 'events')]
  return [...lines, ...events(picture, rows - lines.length)].slice(0, rows)
}

function title({ scene, said, size: { columns }, paint }: Picture): string[] {
  const { root, startedAt, workMs, memory } = scene
  const elapsed = performance.now() - startedAt
  const clock = `${(elapsed / 1000).toFixed(1)} s`
  const { files, lines } = memory.totals
  const left = ` Lane  ${head(root, columns - 10 - clock.length)}`
  const bar = Math.max(0, Math.min(columns - 2, Math.round(((columns - 2) * elapsed) / workMs)))
  const counts = [`${number(files)} files`, `${number(lines)} lines read`, `${number(memory.foundLines)} found`]
  const more = [`${number(memory.tokens)} tokens`, `${number(memory.notes)} notes`]
  return [
    `${paint('bold', left.slice(0, 6))}${left.slice(6)}${padStart(clock, columns - width(left) - 1)}`,
    ` ${paint('cyan', '━'.repeat(bar))}${paint('dim', '─'.repeat(columns - 2 - bar))}`,
    ` ${paint('bold', head(said, columns - 2))}`,
    ` ${paint('dim', head([...counts, ...more].join(' · '), columns - 2))}`,
    ...(scene.folder === undefined ? [] : [` ${paint('dim', kept(scene, columns - 2))}`]),
  ]
}

/** What was left by a process before this one, and how to try it. As much of it as there is room for. */
function kept({ folder, memory: { resumed } }: Scene, columns: number): string {
  const left = resumed === undefined ? [] : [resumedText(resumed)]
  const texts = [...left, `kill -9 ${process.pid}, start again: it goes on`, `kept in ${folder}`]
  while (texts.length > 1 && texts.join(' · ').length > columns) texts.pop()
  return head(texts.join(' · '), columns)
}

/** What there is room for. */
type Columns = { readonly bar: number; readonly failed: boolean; readonly lately: number }

/** Of the width of a terminal, the lanes' names take 10 cells and the three counts 19. */
function columnsOf(columns: number): Columns {
  const failed = columns >= 80
  const lately = failed ? 20 : 8
  if (columns < 54) return { bar: columns - 29, failed: false, lately: 0 }
  return { bar: columns - 29 - (failed ? 8 : 0) - lately - 2, failed, lately }
}

/** A row per lane: who runs, who waits, what is done, and how much of it lately. */
function lanes({ scene, rates, size, paint }: Picture): string[] {
  const columns = columnsOf(size.columns)
  const { bar, failed: showsFailed, lately } = columns
  const rows = Object.entries(scene.queue.stats().lanes).map(([id, { active, pending, zombies, paused }]) => {
    const { done, failed, timedOut } = scene.figures.lane(id)
    const colour = LANE_COLOURS[id] ?? 'white'
    const lost = failed + timedOut
    return [
      ` ${paint(colour, padEnd(id, 9))}`,
      barOf({ running: active + zombies, waiting: pending, paused }, bar - 1, (text) => paint(colour, text), paint),
      ` ${padStart(String(active), 5)}${padStart(number(pending), 6)}${padStart(number(done), 8)}`,
      showsFailed ? paint(lost > 0 ? 'red' : 'dim', padStart(lost > 0 ? number(lost) : '·', 8)) : '',
      lately > 0 ? `  ${paint(colour, rates.sparkline(id, lately))}` : '',
    ].join('')
  })
  return [paint('dim', headingOf(columns)), ...rows]
}

function headingOf({ bar, failed, lately }: Columns): string {
  const key = failed ? 'running ■  waiting ░' : '■ run  ░ wait'
  const counts = `${padStart('run', 5)}${padStart('wait', 6)}${padStart('done', 8)}${failed ? padStart('failed', 8) : ''}`
  return `${padEnd(' lane', 10)}${padEnd(bar > key.length ? key : '', bar)}${counts}${lately > 0 ? '  lately' : ''}`
}

type Counts = { readonly running: number; readonly waiting: number; readonly paused: boolean }

/** One cell per command; an arrow where there are more than cells. */
function barOf(
  { running, waiting, paused }: Counts,
  cells: number,
  paintLane: (text: string) => string,
  paint: Paint,
): string {
  const word = paused ? ' paused' : ''
  const room = cells - word.length
  const filled = Math.min(running, room)
  const shaded = Math.min(waiting, room - filled)
  const isCut = running + waiting > room
  const shade = isCut && shaded > 0 ? `${'░'.repeat(shaded - 1)}›` : '░'.repeat(shaded)
  const rest = ' '.repeat(Math.max(0, room - filled - shaded))
  return `${paintLane('■'.repeat(filled))}${paint('dim', paintLane(shade))}${paint('yellow', word)}${rest}`
}

function section({ size: { columns }, paint }: Picture, name: string): string[] {
  return [paint('dim', ` ── ${name} ${'─'.repeat(Math.max(0, columns - name.length - 6))}`)]
}

/** The generations that run, each with the end of what it has said. Two places, so that nothing jumps. */
function generation({ size: { columns }, paint }: Picture, speeches: readonly Speech[], rows: number): string[] {
  const name = Math.min(18, Math.floor(columns / 4))
  const cells = columns - name - 4
  return [0, 1].flatMap((place) => {
    const speech = speeches[place]
    if (speech === undefined) return ['', ...Array.from({ length: rows - 1 }, () => '')]
    const lines = cut(`${tail(speech.text.trimStart(), cells * rows - 1)}▌`, cells)
    if (speech.text === '') lines[0] = paint('dim', 'thinking …')
    return Array.from({ length: rows }, (_, row) => {
      const label = padEnd(row === 0 ? head(speech.label, name) : '', name)
      return ` ${paint('green', label)}  ${lines[row] ?? ''}`
    })
  })
}

/** A text in pieces of so many cells. */
function cut(text: string, cells: number): string[] {
  const pieces: string[] = []
  let piece = ''
  for (const character of text) {
    if (width(piece + character) > cells) {
      pieces.push(piece)
      piece = ''
    }
    piece += character
  }
  return [...pieces, piece]
}

function figures({ scene, size: { columns }, paint }: Picture): string[] {
  const { queue, memory } = scene
  const starts = new Samples()
  for (const { startMs, underFullLoad } of memory.controls) if (underFullLoad) starts.add(startMs)
  const start = starts.summary()
  const lag = memory.loopLagMs.summary()
  const stop = memory.stopMs.generation.summary()
  const { taken, isFull } = loadOf(queue, memory.lenders)
  const isWide = columns >= 80
  const slots = `${taken} of ${SLOTS} slots${isWide ? ` taken or kept${isFull ? ', all lanes wait' : ''}` : ''}`
  const rows = [
    [
      'control starts in',
      start === null ? '-' : `${duration(start.p50)}, p99 ${duration(start.p99)}`,
      `${number(start?.count ?? 0)} times${isWide ? ' under full load' : ''}`,
    ],
    [
      'a cancel stops in',
      stop === null ? '-' : `${duration(stop.p50)}, max ${duration(stop.max)}`,
      `${stop?.count ?? 0} stopped`,
    ],
    ['the event loop lags', lag === null ? '-' : `${duration(lag.p50)}, p99 ${duration(lag.p99)}`, slots],
  ] as const
  return rows.map(([what, value, more]) => {
    const left = ` ${padEnd(what, 20)}${padEnd(value, columns >= 80 ? 24 : 21)}`
    return `${paint('dim', left.slice(0, 21))}${left.slice(21)}${paint('dim', head(more, columns - width(left) - 1))}`
  })
}

/** The newest events that there is room for, newest last. */
function events({ scene, size: { columns }, paint }: Picture, rows: number): string[] {
  if (rows <= 0) return []
  return scene.log.entries.slice(-rows).map(({ at, lane, what, colour, about, times }) => {
    const clock = padStart(((at - scene.startedAt) / 1000).toFixed(1), 5)
    const text = `${about}${times > 1 ? ` ×${times}` : ''}`
    const left = `${paint('dim', clock)}  ${paint(LANE_COLOURS[lane] ?? 'white', padEnd(lane, 9))}${paint(colour, padEnd(what, 12))}`
    return ` ${left}${head(text, columns - 30)}`
  })
}

/** The size of the terminal, with the last column and line left free. */
export const sizeOf = ({ columns = 80, rows = 24 }: { columns?: number; rows?: number }): Size => ({
  columns: Math.max(40, Math.min(WIDEST, columns - 1)),
  rows: Math.max(8, rows - 1),
})
