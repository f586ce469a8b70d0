/** Messages without values that may be secret: keys of providers, what the environment holds, addresses with passwords. */
import { mayBeSecret } from './config-fault.js'
import { stepsOf } from './config-outline.js'

/** The message of an error about the option at `path`, without the value that came when that may be a secret. `raw` is what was read. */
export function withoutSecrets(message: string, raw: unknown, path: string): string {
  const got = message.indexOf(', got ')
  return got >= 0 && isSecretAt(raw, path) ? message.slice(0, got) : message
}

function isSecretAt(raw: unknown, path: string): boolean {
  let value = raw
  for (const step of stepsOf(path)) {
    if (typeof step === 'string' && mayBeSecret(step)) return true
    // a block that is there once is a list of one; a single object where a list may be is its only item
    if (typeof step === 'string' && Array.isArray(value)) value = value[0]
    if (typeof step === 'number' && !Array.isArray(value)) continue
    value = (value as Readonly<Record<string | number, unknown>> | null | undefined)?.[step]
  }
  return holdsSecret(value)
}

/** Whether a value was, or holds, anything that comes from the environment or stands under a key that may be secret. */
function holdsSecret(value: unknown): boolean {
  if (typeof value === 'string') return value.includes('${') || value.startsWith('env(')
  if (typeof value !== 'object' || value === null) return false
  return Object.entries(value).some(([key, inside]) => mayBeSecret(key) || holdsSecret(inside))
}
