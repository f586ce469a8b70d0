/** The queue's log in pino: structured, one line per event, without payloads. */
import { type LaneEvent, QueueManager, RetryPolicy } from '@a3s-lab/lane'
import { pino } from 'pino'

// pino writes to a stream; here each line is shortened to what matters for reading. Leave the stream out in a program.
const show = (line: string): void => {
  const {
    level,
    msg,
    time: _time,
    ...fields
  } = JSON.parse(line) as { level: string; msg: LaneEvent['key']; time: number }
  console.log(level, msg, JSON.stringify({ ...fields, command_id: undefined }))
}
const logger = pino({ level: 'info', base: null, formatters: { level: (level) => ({ level }) } }, { write: show })

const queue = new QueueManager({
  lanes: { mail: { priority: 0, retry: RetryPolicy.fixed(1, 5), pressureThreshold: 2 } },
  deadLetters: 10,
  logger,
})
queue.handle('send', ({ to }: { to: string }) => {
  if (!to.includes('@')) throw new Error('not an address')
})
await queue.start()

// What each command does is logged at debug level; this logger shows info and above.
await queue.submit('mail', { type: 'send', payload: { to: 'ada@example.org' } })
await queue.submit('mail', { type: 'send', payload: { to: 'nobody' } }).catch(() => undefined)
await queue.submit('post', { type: 'send' }).catch(() => undefined)
queue.lane('mail').pause()
await queue.close()
