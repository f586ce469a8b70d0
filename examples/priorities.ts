/** Which lane goes next: three situations, and priorities within a lane. */
import { defaultLanes, QueueManager, type QueueOptions } from '@a3s-lab/lane'

/** Submits commands in the order given, then starts the queue and prints the order in which they began. */
async function order(title: string, options: QueueOptions, names: readonly string[]): Promise<void> {
  await using queue = new QueueManager(options)
  const begun: string[] = []
  for (const name of names) {
    const [lane = '', priority = '1000'] = name.split(/[-/]/)
    void queue.submit(lane, { type: 'work', payload: name }, { priority: Number(priority) })
  }
  queue.handle<string>('work', async (name) => {
    begun.push(name)
    await new Promise((resolve) => setTimeout(resolve, 5))
  })
  await queue.start()
  await queue.drain(5000)
  console.log(`${title}: ${begun.join(', ')}`)
}

// 1. Nothing above has work: the lower lane starts at once.
await order('1 higher lane empty', { lanes: defaultLanes() }, ['prompt-1', 'prompt-2'])

// 2. The higher lane is full: the lower lane does not wait for its backlog.
await order(
  '2 higher lane full',
  { lanes: { system: { priority: 0, maxConcurrency: 1 }, prompt: { priority: 5, maxConcurrency: 4 } } },
  ['system-1', 'system-2', 'prompt-1'],
)

// 3. The higher lane has work and room: it goes first, whoever came first.
await order(
  '3 higher lane has room',
  { lanes: { system: { priority: 0, maxConcurrency: 4 }, prompt: { priority: 5, maxConcurrency: 4 } } },
  ['prompt-1', 'system-1', 'system-2'],
)

// Within a lane: 0 goes first, then by arrival.
await order('within a lane', { lanes: { skill: { priority: 4, maxConcurrency: 1 } } }, [
  'skill/9',
  'skill/0',
  'skill/5',
])
