import { checkInteger, checkObject, refuseUnknown } from '../../core/index.js'

/** How much one call of a tool may take and give. Integers of at least 1. */
export type ToolLimits = {
  /** Lines that `read` gives when it is not told how many. Default 2,000. */
  readonly readLines: number
  /** Characters of text that one `read` gives. Default 60,000. */
  readonly readChars: number
  /** Characters of one line that `read` and `grep` show. Default 2,000. */
  readonly lineChars: number
  /** Bytes of the largest picture that `read` gives. Default 5 MiB. */
  readonly imageBytes: number
  /** Bytes of the largest file that `write` makes, `edit` changes and `grep` searches. Default 10 MiB. */
  readonly fileBytes: number
  /** Characters of the difference that `write` and `edit` show. Default 20,000. */
  readonly diffChars: number
  /** Names that `ls` and `glob` give. Default 1,000. */
  readonly entries: number
  /** Files and folders that one `glob`, `grep`, `ls` or `copy` looks at. Default 100,000. */
  readonly walkedEntries: number
  /** Bytes that one `copy` may copy. Default 1 GiB. */
  readonly copyBytes: number
  /** Matching lines that `grep` gives when it is not told how many, and at most ten times as many when it is. Default 200. */
  readonly matches: number
  /** Characters of output that `bash` keeps, half of them from its beginning and half from its end. Default 30,000. */
  readonly outputChars: number
  /** Bytes of output after which a command of `bash` is ended. Default 100 MiB. */
  readonly floodBytes: number
  /** Milliseconds that a command of `bash` has when the call does not say. Default 120,000. */
  readonly bashTimeoutMs: number
  /** The most milliseconds that a call of `bash` may ask for. Default 600,000. */
  readonly bashLongestMs: number
  /** Bytes of a page that `web_fetch` reads, unpacked. Default 2 MiB. */
  readonly fetchBytes: number
  /** Characters of a page that `web_fetch` gives. Default 60,000. */
  readonly fetchChars: number
  /** Milliseconds that a `web_fetch` may take, redirects included. Default 30,000. */
  readonly fetchTimeoutMs: number
  /** Milliseconds that turning a page's HTML into Markdown may take; then its elements are only taken away. Default 5,000. */
  readonly convertMs: number
  /** Redirects that `web_fetch` follows. Default 5. */
  readonly fetchRedirects: number
  /** Calls in one `batch`. Default 25. */
  readonly batchCalls: number
}

const MIB = 1024 * 1024

export const DEFAULT_TOOL_LIMITS: ToolLimits = {
  readLines: 2000,
  readChars: 60_000,
  lineChars: 2000,
  imageBytes: 5 * MIB,
  fileBytes: 10 * MIB,
  diffChars: 20_000,
  entries: 1000,
  walkedEntries: 100_000,
  copyBytes: 1024 * MIB,
  matches: 200,
  outputChars: 30_000,
  floodBytes: 100 * MIB,
  bashTimeoutMs: 120_000,
  bashLongestMs: 600_000,
  fetchBytes: 2 * MIB,
  fetchChars: 60_000,
  fetchTimeoutMs: 30_000,
  convertMs: 5000,
  fetchRedirects: 5,
  batchCalls: 25,
}

/** The limits with their defaults. `CONFIG_INVALID` for what is no limit. */
export function toolLimits(given: Partial<ToolLimits> = {}): ToolLimits {
  checkObject('limits', given)
  refuseUnknown('limits', given, Object.keys(DEFAULT_TOOL_LIMITS))
  const set = Object.entries(given).filter(([, value]) => value !== undefined)
  for (const [name, value] of set) checkInteger(`limits.${name}`, value, 1)
  return { ...DEFAULT_TOOL_LIMITS, ...Object.fromEntries(set) }
}
