/** A long generation gives its only slot to urgent commands three times, and keeps the text that it has. */
import { setTimeout as sleep } from 'node:timers/promises'
import { QueueManager } from '@a3s-lab/lane'

const queue = new QueueManager({
  lanes: {
    urgent: { priority: 0, preempts: true, minConcurrency: 0 },
    prompt: { priority: 5, preemptible: true, minConcurrency: 0 },
  },
  maxConcurrency: 1,
})
const WORDS = 'the queue went up the hill to fetch a slot of water then control came and took it for a while'.split(' ')
const generated: string[] = []
const attempts = new Set<number>()

queue.handle('generate', async (_payload, { restored, attempt, signal, checkpoint }) => {
  const text = (restored ?? []) as string[]
  attempts.add(attempt)
  console.log(`attempt ${attempt} begins with ${text.length} words: '${text.join(' ')}'`)
  for (const word of WORDS.slice(text.length)) {
    await sleep(25, undefined, { signal }) // the model thinks; the abort ends that, and the word is not generated
    generated.push(word)
    text.push(word)
    await checkpoint(text) // what is saved here is there again as ctx.restored
  }
  return text.join(' ')
})

const waits: number[] = []
async function interrupt(name: string): Promise<void> {
  const askedAt = performance.now()
  await queue.submit('urgent', async () => {
    waits.push(performance.now() - askedAt)
    await sleep(50)
  })
  console.log(`urgent '${name}' found no free slot, and started after ${waits.at(-1)?.toFixed(1)} ms`)
}

await queue.start()
const events = queue.subscribeFiltered(({ key }) => /preempted|resumed|retry/.test(key))
const keys: string[] = []
const run = queue.submit<string>('prompt', { type: 'generate' })
for (const name of ['save', 'look', 'listen']) {
  await sleep(150)
  await interrupt(name)
}
const text = await run
await queue.close()
for await (const { key } of events) keys.push(key.replace('queue.command.', ''))
console.log(`\n${text}\n`)
const checks = {
  'preempted and resumed three times, never retried': keys.join() === 'preempted,resumed,'.repeat(3).slice(0, -1),
  'one attempt, number 1': [...attempts].join() === '1',
  'nothing lost, nothing generated twice': text === WORDS.join(' ') && generated.join(' ') === text,
  'no urgent command waited for its end': Math.max(...waits) < 250,
}
for (const [check, holds] of Object.entries(checks)) console.log(`${holds ? 'yes' : 'NO '}  ${check}`)
process.exitCode = Object.values(checks).every(Boolean) ? 0 : 1
