/** Prompts of several sizes, the same ones in every run, and what each is expected to cost. */
import { seededRandom } from '@a3s-lab/lane/testing'
import type { Ask } from './provider.js'

/** A prompt to send, and the tokens that it is expected to cost: its length over four, and the longest answer that it allows. */
export type Prompt = { readonly ask: Ask; readonly estimate: number }

/** Questions of people in conversations, and documents to be summarised with nobody waiting. */
export function newPrompts(): { readonly question: () => Prompt; readonly document: () => Prompt } {
  const random = seededRandom(42)
  const between = (low: number, high: number): number => Math.round(low + random.next() * (high - low))
  const prompt = (tokens: number, longest: number): Prompt => ({
    ask: { prompt_tokens: tokens, max_tokens: longest, answer_tokens: between(10, longest * 1.2) },
    // "Four characters are a token" is a rule of thumb: wrong by up to a quarter, either way.
    estimate: Math.round(tokens * between(75, 125) * 0.01) + longest,
  })
  return {
    question: () => prompt(between(20, 80), 80),
    document: () => prompt(between(40, 200), 100),
  }
}
