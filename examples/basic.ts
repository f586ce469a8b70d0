/** The six built-in lanes: submit commands, await results, look at the counts, end in good order. */
import { defaultLanes, defineCommand, isLaneError, QueueManager } from '@a3s-lab/lane'

const queue = new QueueManager({ lanes: defaultLanes() })

// A definition names a kind of command and its types; a handler does the work.
const search = defineCommand<{ word: string }, number>({ type: 'search' })
const text = 'one fish two fish red fish blue fish'
queue.handle(search, ({ word }) => text.split(' ').filter((other) => other === word).length)

await queue.start()

// A run is there at once; awaiting it gives the result, of the type that the definition says.
const fish = queue.submit('query', search({ word: 'fish' }))
console.log('fish:', await fish)

// Several at once.
const runs = queue.submitBatch('query', [search({ word: 'red' }), search({ word: 'cat' })])
console.log('red, cat:', await Promise.all(runs))

// A command can be just a function, on any lane.
console.log('sum:', await queue.submit('skill', () => 2 + 3))

// A run that fails rejects with a LaneError: a code to branch on, the handler's own error as its cause.
const failing = queue.submit('prompt', () => {
  throw new Error('no such model')
})
await failing.catch((error: unknown) => isLaneError(error) && console.log(`${error.code}: ${error.message}`))

const { lanes, totalPending, totalActive } = queue.stats()
console.log('lanes:', Object.keys(lanes).join(' '))
console.log(`waiting ${totalPending}, running ${totalActive}, query has ${lanes['query']?.max} slots`)

await queue.shutdown() // refuses new work
await queue.drain(5000) // waits for the work that was accepted
console.log('done')
