import { type Clock, systemClock } from '../../core/index.js'
import { headOf } from './clipped.js'
import { type AddressPolicy, fetchPage, publicOnly } from './http-fetch.js'
import type { ToolLimits } from './limits.js'
import { pageText } from './page-text.js'
import { defineTool, type Tool } from './tool.js'
import { ToolError } from './tool-error.js'

export type WebFetchOptions = {
  /** Which private and local addresses may be fetched from; `true` for all. Default none. */
  readonly allowPrivate?: boolean | AddressPolicy | undefined
  /** Measures the time limit. Default the machine's. */
  readonly clock?: Clock | undefined
}

const FAILED_FROM = 400

export const webFetchTool = (
  limits: ToolLimits,
  { allowPrivate = false, clock = systemClock }: WebFetchOptions = {},
): Tool =>
  defineTool({
    name: 'web_fetch',
    description: `Fetches a page of the public internet by http or https and gives it as text; HTML as Markdown. At most ${limits.fetchBytes} bytes are read and ${limits.fetchChars} characters given, within ${limits.fetchTimeoutMs} ms and ${limits.fetchRedirects} redirects. Pictures and other binary content are refused.`,
    parameters: (z) => z.strictObject({ url: z.string().min(1).describe('The page, with http:// or https://') }),
    run: async ({ url }, { signal }) => {
      const limit = timeLimit(limits.fetchTimeoutMs, signal, clock)
      try {
        const page = await fetchPage(url, {
          signal: limit.signal,
          mostBytes: limits.fetchBytes,
          mostRedirects: limits.fetchRedirects,
          mayReach: policyOf(allowPrivate),
        })
        const { text, kind } = await pageText(page, limits.convertMs, limit.signal)
        const shown = headOf(text, limits.fetchChars)
        const isCut = page.isCut || shown.length < text.length
        const head = page.status >= FAILED_FROM ? `(the server answered ${page.status})\n` : ''
        return {
          output: `${head}${shown}${isCut ? '\n(the rest of the page is left out)' : ''}`,
          exit_code: page.status >= FAILED_FROM ? 1 : 0,
          metadata: { url: page.url, status: page.status, content_type: page.contentType, format: kind, is_cut: isCut },
        }
      } catch (error) {
        if (limit.isOver())
          throw new ToolError(`The page took longer than ${limits.fetchTimeoutMs} ms`, { cause: error })
        throw error
      } finally {
        limit.end()
      }
    },
  })

function policyOf(allowPrivate: boolean | AddressPolicy): AddressPolicy {
  if (typeof allowPrivate === 'boolean') return allowPrivate ? () => true : publicOnly
  return (address, host) => publicOnly(address, host) || allowPrivate(address, host)
}

type TimeLimit = { readonly signal: AbortSignal; readonly isOver: () => boolean; readonly end: () => void }

/** A signal that aborts with the caller's, and when the time is over. */
function timeLimit(ms: number, signal: AbortSignal, clock: Clock): TimeLimit {
  const controller = new AbortController()
  let isOver = false
  const abort = (): void => controller.abort(signal.reason)
  const timer = clock.setTimer(ms, () => {
    isOver = !controller.signal.aborted
    controller.abort()
  })
  signal.addEventListener('abort', abort)
  return {
    signal: controller.signal,
    isOver: () => isOver,
    end: () => {
      clock.clearTimer(timer)
      signal.removeEventListener('abort', abort)
    },
  }
}
