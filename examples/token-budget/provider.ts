/**
 * A fake model provider on this machine: an HTTP server with an account of its own.
 *
 *   POST /v1/chat/completions  { prompt_tokens, max_tokens }  →  { usage: { total_tokens } }, after a while
 *
 * Two limits, requests and tokens, each a bucket that holds `windowMs` worth and refills all the time. A call reserves its
 * prompt and the longest answer that it allows; what the answer did not need is given back when it is there. A call that
 * does not fit is refused with 429 and the headers that OpenAI sends: how long to wait, and what is left.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { json } from 'node:stream/consumers'
import { setTimeout as sleep } from 'node:timers/promises'

export type Limits = { readonly windowMs: number; readonly requests: number; readonly tokens: number }

/** What a call asks for. `answer_tokens` is the model's secret: how long the answer turns out to be. */
export type Ask = { readonly prompt_tokens: number; readonly max_tokens: number; readonly answer_tokens: number }

/** A call as the provider's own books show it. */
export type Booking = { readonly at: number; tokens: number }

class Bucket {
  #level: number
  #at = performance.now()
  readonly size: number
  readonly windowMs: number

  constructor(size: number, windowMs: number) {
    this.size = size
    this.windowMs = windowMs
    this.#level = size
  }

  get level(): number {
    const now = performance.now()
    this.#level = Math.min(this.size, this.#level + ((now - this.#at) * this.size) / this.windowMs)
    this.#at = now
    return this.#level
  }

  /** Milliseconds until `amount` is there. */
  wait(amount: number): number {
    return Math.max(0, ((amount - this.level) * this.windowMs) / this.size)
  }

  /** Takes `amount`, or gives it back when it is negative. */
  take(amount: number): void {
    this.#level = Math.min(this.size, this.level - amount)
  }
}

export class Provider {
  readonly accepted: Booking[] = []
  refused = 0
  readonly #requests: Bucket
  readonly #tokens: Bucket
  readonly #server = createServer((request, response) => void this.#answer(request, response))

  constructor({ windowMs, requests, tokens }: Limits) {
    this.#requests = new Bucket(requests, windowMs)
    this.#tokens = new Bucket(tokens, windowMs)
  }

  /** Listens on a free port of this machine and gives its URL. */
  async open(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/chat/completions`
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { prompt_tokens, max_tokens, answer_tokens } = (await json(request)) as Ask
    const reserved = prompt_tokens + max_tokens
    const waitMs = Math.max(this.#requests.wait(1), this.#tokens.wait(reserved))
    if (waitMs > 0) {
      this.#refuse(response, Math.ceil(waitMs))
      return
    }
    const booking = { at: performance.now(), tokens: reserved }
    this.accepted.push(booking)
    this.#requests.take(1)
    this.#tokens.take(reserved)
    await sleep(40 + answer_tokens / 2) // two tokens in a millisecond
    booking.tokens = prompt_tokens + Math.min(answer_tokens, max_tokens)
    this.#tokens.take(booking.tokens - reserved)
    response.writeHead(200, this.#headers()).end(JSON.stringify({ usage: { total_tokens: booking.tokens } }))
  }

  #refuse(response: ServerResponse, waitMs: number): void {
    this.refused++
    const pause = { 'retry-after': String(Math.ceil(waitMs / 1000)), 'retry-after-ms': String(waitMs) }
    response.writeHead(429, { ...this.#headers(), ...pause }).end(JSON.stringify({ error: 'Rate limit reached' }))
  }

  #headers(): Record<string, string> {
    const of = (name: string, bucket: Bucket): Record<string, string> => ({
      [`x-ratelimit-limit-${name}`]: String(bucket.size),
      [`x-ratelimit-remaining-${name}`]: String(Math.max(0, Math.floor(bucket.level))),
      [`x-ratelimit-reset-${name}`]: `${Math.ceil(bucket.wait(bucket.size))}ms`,
    })
    return { 'content-type': 'application/json', ...of('requests', this.#requests), ...of('tokens', this.#tokens) }
  }
}
