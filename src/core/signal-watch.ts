/**
 * Waits for abort signals. One listener per signal, however many commands share it: a signal of a whole session would
 * otherwise collect a listener per command.
 */
type Watched = { readonly callbacks: Set<() => void>; readonly tell: () => void }

export class SignalWatch {
  readonly #watched = new WeakMap<AbortSignal, Watched>()

  /** Calls `onAbort` when the signal aborts. Gives the function that ends the watch. */
  watch(signal: AbortSignal, onAbort: () => void): () => void {
    const watched = this.#watched.get(signal) ?? this.#listen(signal)
    watched.callbacks.add(onAbort)
    return () => {
      watched.callbacks.delete(onAbort)
      if (watched.callbacks.size > 0) return
      signal.removeEventListener('abort', watched.tell)
      this.#watched.delete(signal)
    }
  }

  #listen(signal: AbortSignal): Watched {
    const callbacks = new Set<() => void>()
    const tell = (): void => {
      for (const onAbort of [...callbacks]) onAbort()
    }
    const watched = { callbacks, tell }
    signal.addEventListener('abort', tell, { once: true })
    this.#watched.set(signal, watched)
    return watched
  }
}
