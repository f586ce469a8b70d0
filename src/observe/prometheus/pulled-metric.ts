/**
 * A metric of prom-client whose values are read when it is scraped, from counts that exist already. The classes of
 * prom-client count for themselves, one observation at a time; a registry asks a metric for no more than its name and what
 * it holds, as an object or for the text of a scrape, and this answers both.
 *
 * Its lines are made once: a scrape of a hundred lanes has eight thousand, and only their values change. prom-client writes
 * shared labels into text once per object.
 */
import type { Metric } from 'prom-client'
import type { MetricKind } from '../index.js'

/** One line of a scrape. */
export type Line = {
  value: number
  /** All its labels; as prom-client has it, those that many lines share. */
  readonly sharedLabels: Readonly<Record<string, string | number>>
  readonly labels: Readonly<Record<string, never>>
  /** Where it is not the metric's own: `…_bucket`, `…_sum`, `…_count`. */
  readonly metricName?: string
}

/** The lines of a metric. */
export type Series = {
  /** In the order in which they are written. */
  readonly lines: readonly Line[]
  /** Puts in the values as they are now. */
  readonly refresh: () => void
}

export type PulledMetricParams = Series & {
  readonly name: string
  readonly help: string
  readonly kind: MetricKind
}

const NO_LABELS = {}

/** A line whose value is yet to come. */
export const lineOf = (sharedLabels: Line['sharedLabels'], metricName?: string): Line =>
  metricName === undefined
    ? { value: 0, sharedLabels, labels: NO_LABELS }
    : { value: 0, sharedLabels, labels: NO_LABELS, metricName }

export class PulledMetric {
  /** An OpenMetrics registry takes the `_total` from it, and puts it back behind each line. */
  name: string
  readonly help: string
  readonly type: MetricKind
  /** How a cluster's main process puts the values of its workers together. */
  readonly aggregator = 'sum'
  readonly #params: PulledMetricParams
  /** What stands before the value in each line; made when there are more lines than before. */
  #heads: readonly string[] = []

  constructor(params: PulledMetricParams) {
    this.name = params.name
    this.help = params.help
    this.type = params.kind
    this.#params = params
  }

  async get(): Promise<object> {
    const values = this.#lines().map(({ sharedLabels, ...line }) => ({ ...line, labels: { ...sharedLabels } }))
    return this.#with(values)
  }

  async getForPromString(): Promise<object> {
    return this.#with(this.#lines())
  }

  /** Its part of a scrape, as prom-client would write it. */
  text(): string {
    const { name, help, type } = this
    const lines = this.#lines()
    if (this.#heads.length !== lines.length) {
      this.#heads = lines.map(({ metricName = name, sharedLabels }) => `${metricName}${labelText(sharedLabels)} `)
    }
    let text = `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}`
    for (const [index, head] of this.#heads.entries()) text += `\n${head}${valueText((lines[index] as Line).value)}`
    return text
  }

  reset(): void {
    // The counts belong to the queue's metrics, which have a reset of their own.
  }

  #lines(): readonly Line[] {
    this.#params.refresh()
    return this.#params.lines
  }

  #with(values: readonly object[]): object {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values }
  }
}

const escaped = (text: string): string => text.replace(/\\/g, '\\\\').replace(/\n/g, '\\n')

function labelText(labels: Line['sharedLabels']): string {
  const parts = Object.entries(labels).map(
    ([name, value]) => `${name}="${escaped(String(value)).replace(/"/g, '\\"')}"`,
  )
  return parts.length === 0 ? '' : `{${parts.join(',')}}`
}

function valueText(value: number): string {
  if (Number.isFinite(value)) return `${value}`
  if (Number.isNaN(value)) return 'NaN'
  return value > 0 ? '+Inf' : '-Inf'
}

/** The types of prom-client know its own classes only. */
export const pulledMetric = (params: PulledMetricParams): Metric => new PulledMetric(params) as unknown as Metric
