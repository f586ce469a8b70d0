// @ts-check
/** Figures as text. */
import { bestPeer } from './goals.mjs'

/**
 * @param {{ quick: boolean, rounds: number, machine: import('./machine.mjs').Machine, commit: string | null,
 *   versions: Record<string, string> }} about
 */
export function headerLines({ quick, rounds, machine, commit, versions }) {
  const packages = Object.entries(versions).map(([name, version]) => `${name} ${version}`)
  return [
    `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.platform}, Node ${machine.node}`,
    packages.join(', ') + (commit === null ? '' : `, commit ${commit}`),
    `${rounds} ${rounds === 1 ? 'round' : 'rounds'}${quick ? ', quick' : ''}; medians with minimum and maximum; x: times the best peer`,
  ]
}

/**
 * @param {import('./outcome.mjs').Row} row
 * @returns {string[]} a block per figure
 */
export function rowLines(row) {
  const [only, ...more] = Object.values(row.subjects)
  if (only !== undefined && more.length === 0) return ['', `${row.id} ${row.title}`, ...figureLines(row.figures, only)]
  return row.figures.flatMap((figure) => {
    const best = bestPeer(row, figure.key)
    const reference = best === undefined ? undefined : row.subjects[best]?.[figure.key]?.median
    const lines = Object.entries(row.subjects).map(([name, figures]) => {
      const spread = figures[figure.key]
      return spread === undefined ? '' : subjectLine(name, spread, reference)
    })
    return ['', `${row.id} ${row.title}: ${figure.label}`, ...lines]
  })
}

/**
 * The figures of the only subject.
 *
 * @param {import('./workloads/workload.mjs').Figure[]} figures
 * @param {Record<string, import('./outcome.mjs').Spread>} spreads
 */
function figureLines(figures, spreads) {
  const width = Math.max(22, ...figures.map(({ label }) => label.length))
  return figures.map(({ key, label }) => {
    const { median, min, max } = spreads[key] ?? { median: Number.NaN, min: Number.NaN, max: Number.NaN }
    return `  ${label.padEnd(width)}${short(median).padStart(9)}  (${short(min)} to ${short(max)})`
  })
}

/**
 * @param {string} name
 * @param {import('./outcome.mjs').Spread} spread
 * @param {number | undefined} reference
 */
function subjectLine(name, { median, min, max }, reference) {
  const ratio = reference === undefined ? '' : `${(median / reference).toFixed(2).padStart(9)}x`
  return `  ${name.padEnd(22)}${short(median).padStart(9)}  (${short(min)} to ${short(max)})`.padEnd(58) + ratio
}

/**
 * Three digits and a unit: 2.18 M, 421 k, 0.056.
 *
 * @param {number} value
 */
export function short(value) {
  if (value >= 1e6) return `${digits(value / 1e6)} M`
  if (value >= 1e4) return `${digits(value / 1e3)} k`
  return digits(value)
}

/** @param {number} value */
function digits(value) {
  const size = Math.abs(value)
  if (size >= 100) return value.toFixed(0)
  if (size >= 10) return value.toFixed(1)
  return value.toFixed(size >= 1 ? 2 : 3)
}
