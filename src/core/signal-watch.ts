/**
 * Waits for abort signals. One listener per signal, however many commands share it: a signal of a whole session would
 * otherwise collect a listener per command.
 */
export class SignalWatch {
  readonly #watched = new WeakMap<AbortSignal, Set<() => void>>()

  /** Calls `onAbort` when the signal aborts. Gives the function that ends the watch. */
  watch(signal: AbortSignal, onAbort: () => void): () => void {
    const callbacks = this.#watched.get(signal) ?? this.#listen(signal)
    callbacks.add(onAbort)
    return () => void callbacks.delete(onAbort)
  }

  #listen(signal: AbortSignal): Set<() => void> {
    const callbacks = new Set<() => void>()
    this.#watched.set(signal, callbacks)
    const tell = (): void => {
      for (const onAbort of [...callbacks]) onAbort()
    }
    signal.addEventListener('abort', tell, { once: true })
    return callbacks
  }
}
