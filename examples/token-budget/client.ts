/** Calls the provider, as a client library would: an answer, or an error that carries the status and the headers. */
import type { Ask } from './provider.js'

/** Shaped like the errors of OpenAI's and Anthropic's libraries. The queue knows a 429 by its structure, not by its class. */
class ApiError extends Error {
  override readonly name = 'ApiError'
  readonly status: number
  readonly headers: Headers

  constructor({ status, headers }: Response) {
    super(`${status} from the provider`)
    this.status = status
    this.headers = headers
  }
}

/** Tokens that a call has used. */
export async function complete(url: string, ask: Ask, signal: AbortSignal): Promise<number> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(ask), signal })
  if (!response.ok) {
    await response.text()
    throw new ApiError(response)
  }
  const { usage } = (await response.json()) as { usage: { total_tokens: number } }
  return usage.total_tokens
}
