/** What a handler may give back in place of a promise. */
export function isThenable(value: unknown): boolean {
  if ((typeof value !== 'object' && typeof value !== 'function') || value === null) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

/** A genuine promise that follows a foreign thenable, however often that settles. */
export const adopt = (value: unknown): Promise<unknown> => new Promise((resolve) => resolve(value))
