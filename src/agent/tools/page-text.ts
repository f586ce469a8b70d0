/**
 * A page as text for a model. HTML becomes Markdown on a thread of its own, because the time that takes is in the page's
 * hand: a few kilobytes of nested elements would hold the process for minutes. What takes too long is stripped of its
 * elements instead.
 */
import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { systemClock } from '../../core/index.js'
import { checkPeer } from '../../peer/index.js'
import { isBinary } from './text-file.js'
import { SUBPATH } from './tool.js'
import { ToolError } from './tool-error.js'

const MEMORY_MB = 256
const require = createRequire(import.meta.url)

const THREAD = `
const { parentPort, workerData } = require('node:worker_threads')
const TurndownService = require(workerData.package)
const service = new TurndownService({ headingStyle: 'atx', codeBlockStyle: 'fenced', bulletListMarker: '-' })
service.remove(['script', 'style', 'noscript', 'template', 'iframe', 'object', 'svg'])
parentPort.postMessage(service.turndown(workerData.html))
`

const TEXT_TYPES = /^(?:text\/|application\/(?:[\w.-]+\+)?(?:json|xml|yaml|javascript|ecmascript|x-ndjson|toml)\b)/i
const HTML_TYPES = /^(?:text\/html|application\/xhtml\+xml)\b/i

export type PageText = { readonly text: string; readonly kind: 'markdown' | 'stripped' | 'text' }

/** Throws a `ToolError` for what is no text. */
export async function pageText(
  { bytes, contentType }: { readonly bytes: Buffer; readonly contentType: string },
  convertMs: number,
  signal: AbortSignal,
): Promise<PageText> {
  const type = contentType.trim()
  if ((type !== '' && !TEXT_TYPES.test(type)) || isBinary(bytes)) {
    throw new ToolError(`The page is not text${type === '' ? '' : `, but ${type.slice(0, 100)}`}`)
  }
  const text = decode(bytes, type)
  if (!HTML_TYPES.test(type) && !(type === '' && /^\s*<(?:!doctype html|html)\b/i.test(text)))
    return { text, kind: 'text' }
  const markdown = await converted(text, convertMs, signal)
  signal.throwIfAborted()
  return markdown === undefined ? { text: stripped(text), kind: 'stripped' } : { text: markdown, kind: 'markdown' }
}

function decode(bytes: Buffer, contentType: string): string {
  const head = bytes.subarray(0, 1024).toString('latin1')
  const label =
    /charset\s*=\s*["']?([\w:-]+)/i.exec(contentType)?.[1] ??
    /<meta[^>]{0,200}charset\s*=\s*["']?([\w:-]+)/i.exec(head)?.[1]
  try {
    return new TextDecoder(label ?? 'utf-8').decode(bytes)
  } catch {
    // a charset that nobody knows
    return bytes.toString()
  }
}

/** Undefined when it took too long, or too much memory. */
async function converted(html: string, convertMs: number, signal: AbortSignal): Promise<string | undefined> {
  checkPeer('turndown', SUBPATH)
  const worker = new Worker(THREAD, {
    eval: true,
    workerData: { package: require.resolve('turndown'), html },
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MB },
    env: {},
    stdout: true,
    stderr: true,
  })
  const { promise, finish } = firstOf()
  worker.once('message', finish)
  worker.once('error', () => finish(undefined))
  worker.once('exit', () => finish(undefined))
  const giveUp = (): void => finish(undefined)
  const timer = systemClock.setTimer(convertMs, giveUp)
  signal.addEventListener('abort', giveUp)
  try {
    return await promise
  } finally {
    systemClock.clearTimer(timer)
    signal.removeEventListener('abort', giveUp)
    await worker.terminate()
  }
}

function firstOf(): { readonly promise: Promise<string | undefined>; readonly finish: (text: unknown) => void } {
  let finish: (text: unknown) => void = () => undefined
  const promise = new Promise<string | undefined>((resolve) => {
    finish = (text) => resolve(typeof text === 'string' ? text : undefined)
  })
  return { promise, finish }
}

const ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

/** The text between the elements, in one pass: it takes as long as the page has characters. */
export function stripped(html: string): string {
  const parts: string[] = []
  let at = 0
  while (at < html.length) {
    const open = html.indexOf('<', at)
    parts.push(html.slice(at, open < 0 ? html.length : open))
    if (open < 0) break
    const close = html.indexOf('>', open)
    if (close < 0) break
    parts.push(' ')
    at = afterElement(html, open, close)
  }
  return parts
    .join('')
    .replace(/&(amp|lt|gt|quot|apos|nbsp);/g, (_, name: string) => ENTITIES[name] as string)
    .split('\n')
    .map((line) =>
      line
        .split(/\s+/)
        .filter((word) => word !== '')
        .join(' '),
    )
    .filter((line) => line !== '')
    .join('\n')
}

/** Scripts and styles end at their own end tag only. */
function afterElement(html: string, open: number, close: number): number {
  const name = /^(?:script|style)\b/i.exec(html.slice(open + 1, open + 8))?.[0]
  if (name === undefined) return close + 1
  const end = html.toLowerCase().indexOf(`</${name.toLowerCase()}`, close)
  return end < 0 ? html.length : end
}
