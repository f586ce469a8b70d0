/**
 * Whether every place in the queue's code that calls what was handed to it was reached. The places are found in the text
 * of the bundle, where a comment with its name stands before each file; the calls tell their line by their stacks.
 */
import type { CallKind, Site } from './calls.js'

/** A place in the bundle. */
type StaticSite = { readonly kind: CallKind; readonly line: number; readonly text: string; readonly file: string }

export type StaticSites = readonly StaticSite[]

/** How the queue's code calls each kind of thing. A reader iterates and an accessor is read: those calls have no one form. */
const FORMS: Readonly<Partial<Record<CallKind, RegExp>>> = {
  'clock.now': /\bclock\.now\(\)/,
  'clock.wallNow': /\bclock\.wallNow\(\)/,
  'clock.setTimer': /\bclock\.setTimer\(/,
  'clock.clearTimer': /\bclock\.clearTimer\(/,
  'random.next': /\brandom\.next\(\)/,
  handler: /\bhandler\((?:body|payload)|\bhandler\(payloadOf|\bcommand\(context\)|\bcommand\.execute\(/,
  schema: /\.validate\(value\)/,
  filter: /\bfilter\(eventOf/,
  onFault: /#onFault\?\.\(/,
}

/** What the bundler writes before each file. */
const HEAD = /^\/\/ (\S+\.(?:ts|js|mjs))$/

/** Used by hand, without a queue: what a clock throws there goes to the caller. */
const BY_HAND = ['rate-limiters.ts', 'priority-booster.ts']

/** Finds them in the text of a bundle. */
export function findSites(text: string): StaticSites {
  const sites: StaticSite[] = []
  let file = ''
  for (const [index, line] of text.split('\n').entries()) {
    file = HEAD.exec(line)?.[1] ?? file
    if (!isQueues(file)) continue
    for (const [kind, form] of Object.entries(FORMS)) {
      if (form.test(line)) sites.push({ kind: kind as CallKind, line: index + 1, text: line.trim(), file })
    }
  }
  return sites
}

const isQueues = (file: string): boolean => file.includes('src/core/') && !BY_HAND.some((name) => file.endsWith(name))

export class CallSites {
  readonly #wanted: StaticSites | undefined
  readonly #lines = new Set<string>()

  constructor(wanted: StaticSites | undefined) {
    this.#wanted = wanted
  }

  get isWanted(): boolean {
    return this.#wanted !== undefined
  }

  add(calls: readonly Site[]): void {
    for (const { kind, stack } of calls) {
      for (const [, line] of stack.matchAll(/:(\d+):\d+\)?$/gm)) this.#lines.add(`${kind}:${line}`)
    }
  }

  /** Places that no call came from. */
  missed(): string[] {
    const missed = (this.#wanted ?? []).filter(({ kind, line }) => !this.#lines.has(`${kind}:${line}`))
    return missed.map(({ kind, file, text }) => `${kind} in ${file}: ${text}`)
  }

  summary(): string {
    if (this.#wanted === undefined) return ''
    const all = this.#wanted.length
    return `, ${all - this.missed().length} of ${all} call sites reached`
  }
}
