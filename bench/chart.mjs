// @ts-check
/**
 * Draws the README's picture from a result: a panel of bars per workload, best first, ours in colour. Hand-written SVG with
 * a background of its own, so that it reads the same on a light page and a dark one whatever the reader's settings.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { BenchError, FAILED } from './bench-error.mjs'
import { charts } from './panels.mjs'
import { short } from './report.mjs'

/** @typedef {import('./panels.mjs').Panel} Panel */
/** @typedef {import('./outcome.mjs').Row} Row */
/** @typedef {import('./outcome.mjs').Spread} Spread */

/** Geometry, in pixels. The picture is shown at about its own size. */
const COLUMNS = 2
const MARGIN = 28
const GUTTER = 36
const PANEL_WIDTH = 398
const HEADER = 78
const PANEL_HEAD = 46
const BAR_STEP = 22
const BAR_HEIGHT = 14
const NAME_WIDTH = 140
const VALUE_WIDTH = 62
const PANEL_GAP = 26
const FOOTER = 58
const BAR_LENGTH = PANEL_WIDTH - NAME_WIDTH - VALUE_WIDTH
const WIDTH = 2 * MARGIN + COLUMNS * PANEL_WIDTH + GUTTER

const OURS = 'lane'

const style = `
    text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', Helvetica, Arial, sans-serif; fill: #1f2937; }
    .card { fill: #ffffff; stroke: #d5dae1; }
    .title { font-size: 20px; font-weight: 700; }
    .panel { font-size: 14.5px; font-weight: 600; }
    .note { font-size: 12px; fill: #5b6675; }
    .name, .value { font-size: 12.5px; }
    .name { text-anchor: end; }
    .bar { fill: #b9c2ce; }
    .spread { stroke: #6b7685; stroke-width: 1.25; }
    .ours { font-weight: 700; fill: #0b62d6; }
    .bar.ours { fill: #2f7df0; }
    .spread.ours { stroke: #0a3f8f; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6eaf0; }
      .card { fill: #12161c; stroke: #2d3540; }
      .note { fill: #9aa6b5; }
      .bar { fill: #56616f; }
      .spread { stroke: #a9b4c2; }
      .ours { fill: #6cb0ff; }
      .bar.ours { fill: #3d8bff; }
      .spread.ours { stroke: #cfe4ff; }
    }
`

/**
 * The picture of every suite that has a result; with `from`, of that one.
 *
 * @param {{ from: string | undefined, to: string | undefined }} options
 * @returns {Promise<number>} the exit code
 */
export async function drawChart({ from, to }) {
  const kept = Object.keys(charts).map((suite) => fileURLToPath(new URL(`results/${suite}.json`, import.meta.url)))
  const sources = from === undefined && to === undefined ? kept.filter((file) => existsSync(file)) : [from ?? kept[0]]
  for (const source of sources) draw(/** @type {string} */ (source), to)
  if (sources.length === 0)
    throw new BenchError('There is nothing in bench/results: run the full benchmark first.', { exitCode: FAILED })
  return 0
}

/**
 * @param {string} source
 * @param {string | undefined} to
 */
function draw(source, to) {
  if (!existsSync(source))
    throw new BenchError(`There is no ${source}: run the full benchmark first.`, { exitCode: FAILED })
  /** @type {Result} */
  const result = JSON.parse(readFileSync(source, 'utf8'))
  const folder = new URL('../docs/images/', import.meta.url)
  if (to === undefined) mkdirSync(folder, { recursive: true })
  const name = `bench-${result.suite}.svg`
  writeFileSync(to ?? new URL(name, folder), pictureOf(result))
  process.stdout.write(`drawn: ${to ?? `docs/images/${name}`}\n`)
}

/** @typedef {{ suite: string, rounds: number, machine: import('./machine.mjs').Machine, versions: Record<string, string>, workloads: Row[] }} Result */

/** @param {Result} result */
function pictureOf(result) {
  const chart = charts[result.suite]
  if (chart === undefined)
    throw new BenchError(`There is no picture of the suite '${result.suite}'.`, { exitCode: FAILED })
  const { title, note, panels } = chart
  const blocks = panels.map((panel) => blockOf(panel, result.workloads)).filter((block) => block !== undefined)
  let y = HEADER
  /** @type {string[]} */
  const drawn = []
  for (let i = 0; i < blocks.length; i += COLUMNS) {
    const line = blocks.slice(i, i + COLUMNS)
    for (const [column, block] of line.entries()) drawn.push(block.draw(MARGIN + column * (PANEL_WIDTH + GUTTER), y))
    y += Math.max(...line.map(({ height }) => height)) + PANEL_GAP
  }
  const total = y + FOOTER - PANEL_GAP
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${total}" width="${WIDTH}" height="${total}" role="img" aria-labelledby="title">`,
    `<title id="title">${title}</title>`,
    `<style>${style}</style>`,
    `<rect class="card" x="0.5" y="0.5" width="${WIDTH - 1}" height="${total - 1}" rx="10"/>`,
    text('title', MARGIN, 38, title),
    text('note', MARGIN, 58, `${note} Bars are medians; the thin line runs from the slowest round to the fastest.`),
    ...drawn,
    ...footerLines(result).map((line, index) => text('note', MARGIN, total - 38 + index * 18, line)),
    '</svg>',
    '',
  ].join('\n')
}

/** @param {Result} result */
function footerLines({ rounds, machine, versions }) {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cpu}, ${machine.cores} cores, Node ${machine.node.replace('v', '')}; ${rounds} rounds, a fresh process each, subjects in turn.`,
    `${packages.join(' · ')}`,
  ]
}

/**
 * @param {Panel} panel
 * @param {Row[]} rows
 * @returns {{ height: number, draw: (x: number, y: number) => string } | undefined} undefined when it was not measured
 */
function blockOf(panel, rows) {
  const row = rows.find(({ id }) => id === panel.workload)
  if (row === undefined) return
  const bars = barsOf(panel, row)
  const longest = Math.max(...bars.map(({ spread }) => spread.max))
  const off = panel.offScale === undefined ? undefined : row.subjects[panel.offScale]?.[panel.figure]
  const unit = off === undefined ? panel.unit : `${panel.unit} (${panel.offScale}: ${short(off.median)})`
  return {
    height: PANEL_HEAD + bars.length * BAR_STEP,
    draw: (x, y) =>
      [
        text('panel', x, y + 14, panel.title),
        text('note', x, y + 32, unit),
        ...bars.map((bar, index) => barOf(bar, longest, x, y + PANEL_HEAD + index * BAR_STEP)),
      ].join('\n'),
  }
}

/** @typedef {{ name: string, spread: Spread }} Bar */

/**
 * @param {Panel} panel
 * @param {Row} row
 * @returns {Bar[]} best first
 */
function barsOf({ figure, offScale }, row) {
  const sign = row.figures.find(({ key }) => key === figure)?.better === 'less' ? 1 : -1
  return Object.entries(row.subjects)
    .flatMap(([name, figures]) => {
      const spread = figures[figure]
      return spread === undefined || name === offScale ? [] : [{ name, spread }]
    })
    .sort((left, right) => sign * (left.spread.median - right.spread.median))
}

/**
 * @param {Bar} bar
 * @param {number} longest  the value of a bar of full length
 * @param {number} x
 * @param {number} y
 */
function barOf({ name, spread }, longest, x, y) {
  const ours = name === OURS ? ' ours' : ''
  const left = x + NAME_WIDTH
  const length = (/** @type {number} */ value) => Number(((value / longest) * BAR_LENGTH).toFixed(1))
  const middle = y + BAR_HEIGHT / 2
  const baseline = y + 11.5
  return [
    text(`name${ours}`, left - 8, baseline, name),
    `<rect class="bar${ours}" x="${left}" y="${y}" width="${Math.max(1, length(spread.median))}" height="${BAR_HEIGHT}" rx="2"/>`,
    `<line class="spread${ours}" x1="${left + length(spread.min)}" y1="${middle}" x2="${left + length(spread.max)}" y2="${middle}"/>`,
    text(`value${ours}`, left + length(Math.max(spread.max, spread.median)) + 6, baseline, short(spread.median)),
  ].join('')
}

/**
 * @param {string} name  of its style
 * @param {number} x
 * @param {number} y
 * @param {string} content
 */
function text(name, x, y, content) {
  const escaped = content.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `<text class="${name}" x="${Number(x.toFixed(1))}" y="${Number(y.toFixed(1))}">${escaped}</text>`
}
