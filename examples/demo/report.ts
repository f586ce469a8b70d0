/** The summary for people: what was found, a table of the lanes, and how control did under load. */
import type { LaneSummary } from './figures.js'
import type { Summary as Percentiles } from './samples.js'
import type { Summary } from './summary.js'
import { type Colour, duration, LANE_COLOURS, number, type Paint, padEnd, padStart } from './view/paint.js'

export function report(summary: Summary, columns: number, paint: Paint): string[] {
  const title = summary.interrupted ? 'Interrupted after' : 'Done in'
  return [
    '',
    ` ${paint('bold', `${title} ${summary.seconds.toFixed(1)} s`)}  ${summary.folder}`,
    ...resumed(summary).flatMap((text) => wrap(text, columns)),
    '',
    ...found(summary).flatMap((text) => wrap(text, columns)),
    '',
    ...table(summary.lanes, columns, paint),
    '',
    ...control(summary).flatMap(([what, ...texts]) => item(what, texts.join(', '), columns, paint)),
    '',
    ...checks(summary).flatMap(([holds, text]) =>
      item(holds ? 'ok' : 'NO', text, columns, paint, holds ? 'green' : 'red'),
    ),
    '',
  ]
}

function found({ read, leftOut }: Summary): string[] {
  const longest = read.longestLine === null ? '' : ` The longest line is ${read.longestLine}.`
  return [
    `Read ${some(read.files, 'file')} in ${some(read.directories, 'directory', 'directories')}: ${some(read.lines, 'line')}, ${some(read.imports, 'import')}, ${some(read.todos, 'line')} with TODO or the like.${longest}`,
    `Found ${some(read.foundLines, 'line')} with the words looked for, saw ${some(read.commits, 'commit')} in git's logs, generated ${some(read.tokens, 'token')}, kept ${some(read.notes, 'note')}.`,
    leftOut.length === 0 ? 'Nothing was left out.' : `Left out: ${leftOut.join('; ')}.`,
  ]
}

/** The table counts what this process did; what was read and noted is that of all of them. */
const resumed = ({ resumed: left }: Summary): string[] =>
  left === null
    ? []
    : [`Resumed: ${some(left.commands, 'command')}, ${left.running} were running. The table is of this process alone.`]

const HEADINGS = ['done', 'failed', 'retried', 'cancelled'] as const
const TIMES = ['wait p50', 'p99', 'run p50', 'p99'] as const

/** One table where the terminal is wide enough, otherwise counts and times one below the other. */
function table(lanes: Summary['lanes'], columns: number, paint: Paint): string[] {
  const counts = ({ done, failed, timedOut, retried, cancelled }: LaneSummary): string[] =>
    [done, failed + timedOut, retried, cancelled].map((n) => (n === 0 ? '·' : number(n)))
  const times = ({ waitMs, runMs }: LaneSummary): string[] =>
    [waitMs, runMs].flatMap((one) => (one === null ? ['·', '·'] : [duration(one.p50), duration(one.p99)]))
  if (columns >= 88) return rows(lanes, [...HEADINGS, ...TIMES], (lane) => [...counts(lane), ...times(lane)], paint)
  return [...rows(lanes, HEADINGS, counts, paint), '', ...rows(lanes, TIMES, times, paint)]
}

function rows(
  lanes: Summary['lanes'],
  headings: readonly string[],
  cells: (lane: LaneSummary) => readonly string[],
  paint: Paint,
): string[] {
  const line = (texts: readonly string[]): string =>
    texts.map((text, column) => padStart(text, Math.max(7, headings[column]?.length ?? 0) + 2)).join('')
  return [
    paint('dim', ` ${padEnd('lane', 9)}${line(headings)}`),
    ...Object.entries(lanes).map(
      ([id, lane]) => ` ${paint(LANE_COLOURS[id] ?? 'white', padEnd(id, 9))}${line(cells(lane))}`,
    ),
  ]
}

/** A word, and texts about it. */
type Item = readonly [string, ...string[]]

function control({ control: { startUnderFullLoadMs: start, ...counts }, cancel, events, process }: Summary): Item[] {
  const underLoad =
    start === null
      ? ['the lanes were never full: there was too little to do']
      : [
          `starts in ${spread(start)}`,
          `${counts.underFullLoad} of ${counts.commands} commands found every slot taken and work waiting in every lane`,
        ]
  return [
    ['control', ...underLoad, `${some(counts.startedWhilePaused, 'generation')} started while paused`],
    ...stops(
      'cancel',
      'a generation',
      cancel.generationStopMs,
      `${some(cancel.childrenCancelled, 'child', 'children')} went with them`,
    ),
    ...stops('', 'a process', cancel.processStopMs),
    [
      'events',
      `${events.pressure} × pressure, ${events.idle} × idle`,
      `${some(events.deadLettered, 'dead letter')}, ${events.redriven} run again`,
      `${events.droppedByView} lost to the view`,
    ],
    [
      'process',
      `event loop late by ${process.loopLagMs === null ? '-' : spread(process.loopLagMs)}`,
      `${process.peakMegabytes} MB at most`,
      `load of the machine ${process.load}`,
    ],
  ]
}

const stops = (what: string, of: string, ms: Percentiles | null, ...more: string[]): Item[] =>
  ms === null
    ? []
    : [
        [
          what,
          `${of} stops in ${duration(ms.p50)}${ms.count > 1 ? `, at most ${duration(ms.max)}` : ''}, ${ms.count} stopped`,
          ...more,
        ],
      ]

function checks({ checks: { countsAddUp, notesAgree } }: Summary): [boolean, string][] {
  return [
    [countsAddUp, 'every command that was submitted has had exactly one end'],
    [notesAgree, 'every note that was reported done is on the disk once, in order'],
  ]
}

const spread = ({ p50, p99, max }: Percentiles): string =>
  `${duration(p50)}, p99 ${duration(p99)}, at most ${duration(max)}`

const some = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`

/** A word, and text beside it. */
function item(what: string, text: string, columns: number, paint: Paint, colour: Colour = 'dim'): string[] {
  const indent = 9
  return wrap(text, columns - indent).map((line, index) =>
    index === 0 ? ` ${paint(colour, padEnd(what, indent))}${line.trimStart()}` : `${' '.repeat(indent)}${line}`,
  )
}

function wrap(text: string, columns: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && `${line} ${word}`.length > columns - 2) {
      lines.push(line)
      line = word
    } else line += line === '' ? word : ` ${word}`
  }
  return [...lines, line].map((one) => ` ${one}`)
}
