import { QueueManager, defaultLanes, snooze, defineCommand } from '@a3s-lab/lane'
const queue = new QueueManager({ lanes: defaultLanes() })
const count = defineCommand<string, number>({ type: 'count' })
const x1: null = queue.submit('query', ({ attempt }) => (attempt === 1 ? snooze(5) : 'done'))
const x2: null = queue.submitBatch('query', [() => 'a', count('b'), { type: 'c' }, [() => true, { priority: 0 }]])
const x3: null = queue.submitBatch('query', [() => 'a' as string])
const x4: null = queue.submitBatch('query', [[() => true, { priority: 0 }]])
const x5: null = queue.submit('query', async ({ attempt }) => (attempt === 1 ? snooze(5) : 1))
export { x1, x2, x3, x4, x5 }
