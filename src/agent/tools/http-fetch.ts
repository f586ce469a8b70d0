/**
 * Fetches a page, each redirect by hand. A name is looked up once, its addresses are judged, and the connection goes to one of
 * them: a name that leads elsewhere the next time is no way in.
 */
import { lookup as dnsLookup, type LookupAddress } from 'node:dns'
import { request as httpRequest, type IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { pipeline, type Readable, type Transform } from 'node:stream'
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib'
import { headOf } from './clipped.js'
import { isPublicAddress } from './public-address.js'
import { codeOf, ToolError } from './tool-error.js'

const SHOWN_URL_CHARS = 200
const LONGEST_URL = 4096

/** May this address be reached? `host` is the name that led to it. */
export type AddressPolicy = (address: string, host: string) => boolean

export type FetchOptions = {
  readonly signal: AbortSignal
  readonly mostBytes: number
  readonly mostRedirects: number
  readonly mayReach: AddressPolicy
}

export type FetchedPage = {
  /** Where it was found at last. */
  readonly url: string
  readonly status: number
  readonly contentType: string
  readonly bytes: Buffer
  /** Whether there was more than the most bytes. */
  readonly isCut: boolean
}

export const publicOnly: AddressPolicy = isPublicAddress

export async function fetchPage(address: string, options: FetchOptions): Promise<FetchedPage> {
  let url = parseUrl(address)
  for (let redirects = 0; ; redirects++) {
    const response = await answerOf(url, options)
    const status = response.statusCode ?? 0
    const { location } = response.headers
    if (status < 300 || status > 399 || location === undefined) {
      const { bytes, isCut } = await bodyOf(response, options.mostBytes)
      return { url: url.href, status, contentType: response.headers['content-type'] ?? '', bytes, isCut }
    }
    response.destroy()
    if (redirects >= options.mostRedirects)
      throw new ToolError(`${shown(url)} redirects more than ${options.mostRedirects} times`)
    url = parseUrl(location, url)
  }
}

function parseUrl(address: string, base?: URL): URL {
  if (address.length > LONGEST_URL) throw new ToolError(`The URL is longer than ${LONGEST_URL} characters`)
  const url = URL.canParse(address, base?.href) ? new URL(address, base) : undefined
  if (url === undefined) throw new ToolError(`'${headOf(address, SHOWN_URL_CHARS)}' is not a URL`)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ToolError(`${shown(url)} is not http or https: nothing else is fetched`)
  }
  if (url.username !== '' || url.password !== '')
    throw new ToolError('A URL with a user or password in it is not fetched')
  return url
}

/** Without the query, which may hold keys. */
const shown = (url: URL): string => headOf(`${url.protocol}//${url.host}${url.pathname}`, SHOWN_URL_CHARS)

function answerOf(url: URL, options: FetchOptions): Promise<IncomingMessage> {
  const host = url.hostname.replace(/^\[|\]$/g, '')
  // an address is not looked up, so it is judged here
  if (isIP(host) !== 0 && !options.mayReach(host, host)) throw refusal(url)
  const { promise, resolve, reject } = deferred<IncomingMessage>()
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest
  const request = send(url, {
    signal: options.signal,
    lookup: judgedLookup(url, options.mayReach),
    // of its own: a connection that stands already was judged for another name
    agent: false,
    headers: {
      accept: 'text/html, text/plain, text/markdown, application/json, */*;q=0.1',
      'accept-encoding': 'gzip, deflate, br',
      'user-agent': 'a3s-lane-agent',
    },
  })
  request.once('response', resolve)
  request.once('error', (error) => reject(failure(url, error)))
  request.end()
  return promise
}

function judgedLookup(url: URL, mayReach: AddressPolicy): LookupFunction {
  return (host, options, done) => {
    dnsLookup(host, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
      if (error !== null) return done(error, [])
      // one that may not be reached among others is how a name is made to lead inside
      const isRefused = addresses.length === 0 || addresses.some(({ address }) => !mayReach(address, host))
      if (isRefused) return done(refusal(url), [])
      if (options.all === true) return done(null, addresses)
      const [first] = addresses as [LookupAddress]
      done(null, first.address, first.family)
    })
  }
}

const refusal = (url: URL): ToolError =>
  new ToolError(`${shown(url)} leads to a private or local address, which is not fetched`)

function failure(url: URL, error: Error): Error {
  if (error instanceof ToolError || error.name === 'AbortError') return error
  return new ToolError(`${shown(url)} could not be fetched: ${codeOf(error) ?? error.message}`)
}

const unpackers: Readonly<Record<string, () => Transform>> = {
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  deflate: () => createInflate(),
  br: () => createBrotliDecompress(),
}

function unpacked(response: IncomingMessage): Readable {
  const encoding = response.headers['content-encoding']?.trim().toLowerCase()
  const unpack = encoding === undefined ? undefined : unpackers[encoding]?.()
  if (unpack === undefined) return response
  // an error of either is told by the last
  return pipeline(response, unpack, () => undefined)
}

/** What was read until the limit: a small packed body may be a large one. */
async function bodyOf(response: IncomingMessage, most: number): Promise<{ bytes: Buffer; isCut: boolean }> {
  const body = unpacked(response)
  const chunks: Buffer[] = []
  let total = 0
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      chunks.push(chunk)
      total += chunk.length
      if (total > most) break
    }
  } catch (error) {
    if (error instanceof Error && error.name === 'AbortError') throw error
    throw new ToolError(`The page could not be read to its end: ${codeOf(error) ?? String(error)}`, { cause: error })
  } finally {
    response.destroy()
  }
  return { bytes: Buffer.concat(chunks).subarray(0, most), isCut: total > most }
}

type Deferred<T> = {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => undefined
  let reject: (error: unknown) => void = () => undefined
  const promise = new Promise<T>((pass, fail) => {
    resolve = pass
    reject = fail
  })
  return { promise, resolve, reject }
}
