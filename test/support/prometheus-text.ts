/**
 * Reads a scrape in Prometheus' text format (https://prometheus.io/docs/instrumenting/exposition_formats/), strictly: what
 * the format does not allow is an error that shows the line.
 */

type Labels = Readonly<Record<string, string>>
type ScrapedSample = { readonly name: string; readonly labels: Labels; readonly value: number }
type ScrapedFamily = { readonly type: string; readonly help: string; readonly samples: readonly ScrapedSample[] }
export type Scrape = ReadonlyMap<string, ScrapedFamily>

type Family = { type?: string; help?: string; readonly samples: ScrapedSample[] }

const NAME = '[a-zA-Z_:][a-zA-Z0-9_:]*'
const META = new RegExp(`^# (HELP|TYPE) (${NAME}) (.+)$`)
const SAMPLE = new RegExp(`^(${NAME})(?:\\{(.*)\\})? (\\S+)$`)
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\["\\n])*)"(?:,|$)/
const TYPES = ['counter', 'gauge', 'histogram', 'summary', 'untyped']
const SUFFIXES = ['_bucket', '_sum', '_count']
const ESCAPES: Readonly<Record<string, string>> = { '\\\\': '\\', '\\"': '"', '\\n': '\n' }

/** The metrics of a scrape by name. */
export function parseScrape(text: string): Scrape {
  if (!text.endsWith('\n')) throw new Error('the last line must end')
  const families = new Map<string, Family>()
  const seen = new Set<string>()
  for (const line of text.split('\n')) {
    if (line === '') continue
    if (line.startsWith('#')) readMeta(line, families)
    else readSample(line, families, seen)
  }
  for (const [name, { type, help }] of families) {
    if (type === undefined || help === undefined) throw new Error(`${name} has no type or no help`)
  }
  return families as unknown as Scrape
}

function readMeta(line: string, families: Map<string, Family>): void {
  const parts = META.exec(line)
  if (parts === null) throw new Error(`not a comment of the format: ${line}`)
  const [, kind, name, text] = parts as unknown as [string, string, string, string]
  const family: Family = families.get(name) ?? { samples: [] }
  const key = kind === 'HELP' ? 'help' : 'type'
  if (family[key] !== undefined || family.samples.length > 0) throw new Error(`said twice, or too late: ${line}`)
  if (key === 'type' && !TYPES.includes(text)) throw new Error(`no type: ${line}`)
  family[key] = text
  families.set(name, family)
}

function readSample(line: string, families: Map<string, Family>, seen: Set<string>): void {
  const parts = SAMPLE.exec(line)
  if (parts === null) throw new Error(`not a sample: ${line}`)
  const [, name, labelText = '', valueText] = parts as unknown as [string, string, string | undefined, string]
  const sample = { name, labels: readLabels(labelText, line), value: numberOf(valueText, line) }
  const key = JSON.stringify([name, Object.entries(sample.labels).sort()])
  if (seen.has(key)) throw new Error(`the same series twice: ${line}`)
  seen.add(key)
  familyOf(name, families, line).samples.push(sample)
}

function familyOf(name: string, families: Map<string, Family>, line: string): Family {
  const own = families.get(name)
  if (own !== undefined && own.type !== 'histogram') return own
  const suffix = SUFFIXES.find((end) => name.endsWith(end))
  const family = suffix === undefined ? undefined : families.get(name.slice(0, -suffix.length))
  if (family?.type !== 'histogram') throw new Error(`a sample of no metric: ${line}`)
  return family
}

function readLabels(text: string, line: string): Labels {
  const labels: Record<string, string> = {}
  let rest = text
  while (rest !== '') {
    const parts = LABEL.exec(rest)
    if (parts === null) throw new Error(`labels that cannot be read: ${line}`)
    const [whole, name, value] = parts as unknown as [string, string, string]
    if (name in labels) throw new Error(`a label twice: ${line}`)
    labels[name] = value.replace(/\\./g, (escaped) => ESCAPES[escaped] as string)
    rest = rest.slice(whole.length)
  }
  return labels
}

function numberOf(text: string, line: string): number {
  if (text === '+Inf') return Number.POSITIVE_INFINITY
  const value = Number(text)
  if (!Number.isFinite(value)) throw new Error(`no number: ${line}`)
  return value
}
