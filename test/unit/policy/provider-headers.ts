/**
 * Answers of providers as their client libraries hand them on: header names and value formats as the providers document
 * and send them (2023 to 2026), ids left out. `waitMs` is what each asks for at `NOW`.
 */

/** When all of them were received: 2026-03-29T18:00:00Z. */
export const NOW = Date.UTC(2026, 2, 29, 18)

export type HeaderSet = {
  readonly from: string
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  /** undefined where the answer says nothing that could be read. */
  readonly waitMs: number | undefined
}

/** Cloudflare is in front of most of them, and adds what asks for nothing. */
const cloudflare = {
  date: 'Sun, 29 Mar 2026 18:00:00 GMT',
  'content-type': 'application/json',
  'cf-cache-status': 'DYNAMIC',
  'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
  server: 'cloudflare',
  'alt-svc': 'h3=":443"; ma=86400',
}

export const recorded: readonly HeaderSet[] = [
  {
    from: 'OpenAI, tokens per minute used up',
    status: 429,
    headers: {
      ...cloudflare,
      'openai-processing-ms': '5977',
      'openai-version': '2020-10-01',
      'retry-after': '12',
      'retry-after-ms': '11122',
      'x-ratelimit-limit-requests': '10000',
      'x-ratelimit-limit-tokens': '200000',
      'x-ratelimit-remaining-requests': '9998',
      'x-ratelimit-remaining-tokens': '0',
      'x-ratelimit-reset-requests': '14.981s',
      'x-ratelimit-reset-tokens': '11.122s',
    },
    waitMs: 11_122,
  },
  {
    from: 'OpenAI, requests used up, without Retry-After',
    status: 429,
    headers: {
      ...cloudflare,
      'x-ratelimit-limit-requests': '3',
      'x-ratelimit-limit-tokens': '150000',
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-remaining-tokens': '149984',
      'x-ratelimit-reset-requests': '20s',
      'x-ratelimit-reset-tokens': '6m0s',
    },
    waitMs: 20_000,
  },
  {
    from: 'OpenAI, both used up, without Retry-After',
    status: 429,
    headers: {
      ...cloudflare,
      'x-ratelimit-remaining-requests': '0',
      'x-ratelimit-remaining-tokens': '0',
      'x-ratelimit-reset-requests': '20ms',
      'x-ratelimit-reset-tokens': '6m0s',
    },
    waitMs: 360_000,
  },
  {
    from: 'OpenAI, with something left of both',
    status: 429,
    headers: {
      ...cloudflare,
      'x-ratelimit-remaining-requests': '499',
      'x-ratelimit-remaining-tokens': '29996',
      'x-ratelimit-reset-requests': '120ms',
      'x-ratelimit-reset-tokens': '8ms',
    },
    waitMs: undefined,
  },
  {
    from: 'OpenAI, an answer without limits (quota)',
    status: 429,
    headers: { ...cloudflare, 'openai-processing-ms': '5977' },
    waitMs: undefined,
  },
  {
    from: 'Azure OpenAI',
    status: 429,
    headers: {
      'apim-request-id': '7f4c',
      'retry-after': '33',
      'retry-after-ms': '33000',
      'x-ratelimit-reset-requests': '33',
      'x-ratelimit-remaining-requests': '0',
    },
    waitMs: 33_000,
  },
  {
    from: 'Azure OpenAI, of a deployment that does not count',
    status: 429,
    headers: {
      'x-ratelimit-limit-tokens': '-1',
      'x-ratelimit-remaining-tokens': '-1',
      'x-ratelimit-reset-tokens': '0',
    },
    waitMs: undefined,
  },
  {
    from: 'Azure, milliseconds under a name of its own',
    status: 503,
    headers: { 'x-ms-retry-after-ms': '250', 'retry-after': '1' },
    waitMs: 250,
  },
  {
    from: 'Groq',
    status: 429,
    headers: {
      ...cloudflare,
      'retry-after': '9',
      'x-ratelimit-limit-requests': '1000',
      'x-ratelimit-limit-tokens': '8000',
      'x-ratelimit-remaining-requests': '999',
      'x-ratelimit-remaining-tokens': '34',
      'x-ratelimit-reset-requests': '1m26.4s',
      'x-ratelimit-reset-tokens': '59.66s',
    },
    waitMs: 9000,
  },
  {
    from: 'Anthropic, input tokens used up',
    status: 429,
    headers: {
      ...cloudflare,
      'retry-after': '68',
      'anthropic-ratelimit-requests-limit': '50',
      'anthropic-ratelimit-requests-remaining': '49',
      'anthropic-ratelimit-requests-reset': '2026-03-29T18:00:01Z',
      'anthropic-ratelimit-tokens-limit': '38000',
      'anthropic-ratelimit-tokens-remaining': '8000',
      'anthropic-ratelimit-tokens-reset': '2026-03-29T18:01:08Z',
      'anthropic-ratelimit-input-tokens-limit': '30000',
      'anthropic-ratelimit-input-tokens-remaining': '0',
      'anthropic-ratelimit-input-tokens-reset': '2026-03-29T18:01:08Z',
      'anthropic-ratelimit-output-tokens-limit': '8000',
      'anthropic-ratelimit-output-tokens-remaining': '8000',
      'anthropic-ratelimit-output-tokens-reset': '2026-03-29T18:00:00Z',
    },
    waitMs: 68_000,
  },
  {
    from: 'Anthropic, two limits used up, without Retry-After',
    status: 429,
    headers: {
      'anthropic-ratelimit-requests-remaining': '0',
      'anthropic-ratelimit-requests-reset': '2026-03-29T18:00:05Z',
      'anthropic-ratelimit-tokens-remaining': '100',
      'anthropic-ratelimit-tokens-reset': '2026-03-29T18:03:00Z',
      'anthropic-ratelimit-output-tokens-remaining': '0',
      'anthropic-ratelimit-output-tokens-reset': '2026-03-29T18:00:42.5Z',
    },
    waitMs: 42_500,
  },
  {
    from: 'GitHub, primary limit: the instant in Unix seconds',
    status: 429,
    headers: {
      server: 'github.com',
      'x-ratelimit-limit': '5000',
      'x-ratelimit-remaining': '0',
      'x-ratelimit-used': '5001',
      'x-ratelimit-resource': 'core',
      'x-ratelimit-reset': String(NOW / 1000 + 1234),
    },
    waitMs: 1_234_000,
  },
  {
    from: 'GitHub, secondary limit',
    status: 429,
    headers: { server: 'github.com', 'retry-after': '60', 'x-ratelimit-remaining': '4998', 'x-ratelimit-reset': '5' },
    waitMs: 60_000,
  },
  {
    from: 'Cerebras, with several windows',
    status: 429,
    headers: {
      'x-ratelimit-limit-requests-day': '14400',
      'x-ratelimit-remaining-requests-day': '14000',
      'x-ratelimit-reset-requests-day': '33011.382867',
      'x-ratelimit-remaining-tokens-minute': '0',
      'x-ratelimit-reset-tokens-minute': '11.382867',
    },
    waitMs: 11.382_867 * 1000,
  },
  {
    from: 'OpenRouter: the instant in Unix milliseconds',
    status: 429,
    headers: { 'X-RateLimit-Limit': '20', 'X-RateLimit-Remaining': '0', 'X-RateLimit-Reset': String(NOW + 7500) },
    waitMs: 7500,
  },
  {
    from: 'the draft of the IETF',
    status: 429,
    headers: { 'RateLimit-Limit': '300', 'RateLimit-Remaining': '0', 'RateLimit-Reset': '2' },
    waitMs: 2000,
  },
  {
    from: 'a server in maintenance, with a date',
    status: 503,
    headers: { 'Retry-After': 'Sun, 29 Mar 2026 18:02:00 GMT' },
    waitMs: 120_000,
  },
  {
    from: 'a server in maintenance, with a date that has passed',
    status: 503,
    headers: { 'Retry-After': 'Sun, 29 Mar 2026 17:59:59 GMT' },
    waitMs: 0,
  },
  {
    from: 'a reset in words',
    status: 429,
    headers: {
      'X-RateLimit-Remaining': '0',
      'X-RateLimit-Reset': 'Tue Feb 16 2021 09:02:42 GMT+0100 (Central European Standard Time)',
    },
    waitMs: undefined,
  },
]
