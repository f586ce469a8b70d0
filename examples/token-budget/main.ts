/**
 * Token budgets: a queue that spends what a provider grants, and hardly ever asks for more.
 *
 * The provider is a local HTTP server with limits of its own, for requests and for tokens (provider.ts). Four people and a
 * pile of documents call it through two lanes (trial.ts), twice: first without limits, where the queue does what each 429
 * says; then with the provider's limits as one group of both lanes. Each prompt brings an estimate of its tokens and tells
 * afterwards what it really used.
 *
 * The exit code is 0 when under 1 % of the calls were refused and above 90 % of the granted tokens were used.
 */
import { RateLimitConfig } from '@a3s-lab/lane'
import { count, curve, percent, tokensIn } from './report.js'
import { type Outcome, tryOut } from './trial.js'

const LIMITS = { windowMs: 2000, requests: 150, tokens: 20_000 }
const { windowMs, requests, tokens } = LIMITS
const perSecond = (tokens * 1000) / windowMs

const FREE_MS = 3000
const WORK_MS = 9000

console.log(`The provider grants ${count(tokens)} tokens and ${requests} requests per ${windowMs / 1000} s.\n`)

const free = await tryOut(LIMITS, FREE_MS, {})
console.log(`Without limits, ${FREE_MS / 1000} s: the lanes only do what each 429 says`)
printCalls(free, FREE_MS)

// Rates are the provider's. Bursts are three quarters of its: calls that leave one after another may arrive together.
const rateLimit = [
  new RateLimitConfig(tokens, windowMs, { unit: 'tokens', burst: 0.75 * tokens, group: 'provider' }),
  new RateLimitConfig(requests, windowMs, { burst: 0.75 * requests, group: 'provider' }),
]
const budgeted = await tryOut(LIMITS, WORK_MS, { rateLimit })
console.log(`\nWith both limits as a group, ${WORK_MS / 1000} s`)
const refusedShare = printCalls(budgeted, WORK_MS)

// The first window spends the burst; what counts is what comes after it.
const used = tokensIn(budgeted.accepted, windowMs, WORK_MS)
const granted = (perSecond * (WORK_MS - windowMs)) / 1000
const usedShare = used / granted
console.log(
  `  tokens used   ${count(used)} of ${count(granted)}, ${percent(usedShare)}, after the first ${windowMs / 1000} s`,
)

const checks = {
  'without limits the provider refuses a good part': free.refused > 0.05 * (free.accepted.length + free.refused),
  'with them it refuses under 1 %': refusedShare < 0.01,
  'and above 90 % of what it grants is used': usedShare > 0.9,
}
console.log()
for (const [check, holds] of Object.entries(checks)) console.log(`${holds ? 'yes' : 'NO '}  ${check}`)
process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1

/** Prints what the calls came to, and gives the share that was refused. */
function printCalls({ accepted, refused, answers }: Outcome, totalMs: number): number {
  const calls = accepted.length + refused
  const median = answers[Math.floor(answers.length / 2)] ?? 0
  console.log(`  calls made    ${count(calls)}`)
  console.log(`  refused       ${count(refused)}, ${percent(refused / calls)}`)
  console.log(`  questions     ${count(answers.length)} answered, half of them within ${count(median)} ms`)
  console.log(`  tokens per s  ${curve(accepted, totalMs, 250, 2 * perSecond)}  half height is ${count(perSecond)}`)
  return refused / calls
}
