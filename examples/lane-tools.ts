/** An app of the AI SDK with a loop and tools of its own: one line gives its tools lanes. */
import { setTimeout as sleep } from 'node:timers/promises'
import { laneTools } from '@a3s-lab/lane/agent'
import { SessionQueue } from '@a3s-lab/lane/session'
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, stepCountIs, tool } from 'ai'
import { z } from 'zod'
import { PlaybackServer } from './agent/playback.js'

// A model that plays a recording, on this machine: it looks at three cities at once and books two of them.
const city = (name: string, place: string) => ({ name, args: { place } })
await using server = await PlaybackServer.start({
  conversations: [
    {
      prompt: 'holiday',
      steps: [
        { calls: [...['Oslo', 'Rome', 'Bern'].map((place) => city('search', place)), city('book', 'Rome')] },
        { calls: [city('book', 'Bern')], results: ['booked Rome'] },
        { text: 'Rome and Bern are booked.', results: ['booked Bern'] },
      ],
    },
  ],
})
const model = createOpenAICompatible({ name: 'playback', baseURL: server.url })('recorded')

let searching = 0
let most = 0
async function search(place: string): Promise<string> {
  most = Math.max(most, ++searching)
  await sleep(50)
  searching--
  return `found ${place}`
}

const inputSchema = z.object({ place: z.string() })
const tools = {
  search: tool({ inputSchema, execute: ({ place }) => search(place) }),
  book: tool({ inputSchema, execute: ({ place }) => `booked ${place}` }),
}

// `search` is a looking tool: query lane, two at a time here. `book` changes something: execute lane, one after another.
await using queue = new SessionQueue({ queueConfig: { queryMaxConcurrency: 2 }, permissive: true })
const { text, steps } = await generateText({
  model,
  tools: laneTools(tools, queue),
  prompt: 'Plan my holiday',
  stopWhen: stepCountIs(5),
})
console.log(text)

for (const { toolResults } of steps) console.log(toolResults.map(({ output }) => output).join(', ') || 'no more calls')
const { lanes } = await queue.queueStats()
console.log(`query ${lanes.query?.completed}, at most ${most} at once; execute ${lanes.execute?.completed}`)
