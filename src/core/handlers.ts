/** What runs commands, by their type. */
import type { CommandContext } from './context.js'
import { configInvalid } from './errors.js'

/** A handler as it is called. */
export type AnyHandler = (payload: unknown, context: CommandContext) => unknown

type Resolver = (commandType: string) => unknown

export class Handlers {
  readonly #byType = new Map<string, AnyHandler>()
  readonly #onFault: (error: unknown) => void
  #resolver: Resolver | undefined
  /** The type that was asked for last: mostly it is asked for again. */
  #recentType: string | undefined
  #recent: AnyHandler | undefined

  constructor(onFault: (error: unknown) => void) {
    this.#onFault = onFault
  }

  set(type: string, handler: AnyHandler): void {
    this.#byType.set(type, handler)
    this.#recentType = undefined
  }

  /** Asked for types that none was set for, each time. */
  resolveBy(resolver: Resolver): void {
    this.#resolver = resolver
  }

  of(type: string): AnyHandler | undefined {
    if (type === this.#recentType) return this.#recent
    const handler = this.#byType.get(type)
    if (handler === undefined) return this.#resolved(type)
    this.#recentType = type
    this.#recent = handler
    return handler
  }

  /** Whether there is one now. A resolver that throws has none, and is no fault: nothing was to run. */
  has(type: string): boolean {
    if (this.#byType.has(type)) return true
    try {
      return typeof this.#resolver?.(type) === 'function'
    } catch {
      return false
    }
  }

  #resolved(type: string): AnyHandler | undefined {
    if (this.#resolver === undefined) return undefined
    try {
      const handler = this.#resolver(type)
      if (handler === undefined || typeof handler === 'function') return handler as AnyHandler | undefined
      throw configInvalid(`handler of '${type}'`, 'a function or undefined', handler)
    } catch (error) {
      this.#onFault(error)
      return undefined
    }
  }
}
