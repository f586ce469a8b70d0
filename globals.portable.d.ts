/**
 * The globals that `src` may rely on: exactly those that browsers, Node >= 20, Bun, Deno and worker threads all have.
 *
 * It stands in for TypeScript's DOM library and for @types/node when src is built. The DOM library would also declare
 * `document`, and global variables called `event`, `name`, `status` and `length`, so a forgotten parameter would
 * compile; Node's types would let `process` and `Buffer` in. Add a declaration here only when every platform has it.
 * Which of these may be used where (timers only in clock.ts, and so on) is held by test/house.
 */

// Timers. The handle is opaque: a number in browsers, an object with unref() elsewhere.
type PortableTimer = number | { unref?(): unknown; ref?(): unknown }
declare function setTimeout(callback: () => void, ms?: number): PortableTimer
declare function clearTimeout(timer: PortableTimer | undefined): void
declare function queueMicrotask(callback: () => void): void

interface Performance {
  now(): number
  readonly timeOrigin: number
}
declare const performance: Performance

interface Crypto {
  getRandomValues<T extends Uint8Array | Uint32Array>(array: T): T
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`
}
declare const crypto: Crypto

declare function structuredClone<T>(value: T, options?: { transfer?: unknown[] }): T

interface Event {
  readonly type: string
}
interface AbortSignal {
  readonly aborted: boolean
  // biome-ignore lint/suspicious/noExplicitAny: the platforms' own declaration; `unknown` would not unify with theirs
  readonly reason: any
  throwIfAborted(): void
  addEventListener(
    type: 'abort',
    listener: (event: Event) => void,
    options?: { once?: boolean; signal?: AbortSignal; passive?: boolean; capture?: boolean },
  ): void
  removeEventListener(type: 'abort', listener: (event: Event) => void): void
}
declare const AbortSignal: {
  prototype: AbortSignal
  abort(reason?: unknown): AbortSignal
  any(signals: Iterable<AbortSignal>): AbortSignal
}
interface AbortController {
  readonly signal: AbortSignal
  abort(reason?: unknown): void
}
declare const AbortController: {
  prototype: AbortController
  new (): AbortController
}

declare class TextEncoder {
  encode(text?: string): Uint8Array
}
declare class TextDecoder {
  decode(bytes?: Uint8Array): string
}
