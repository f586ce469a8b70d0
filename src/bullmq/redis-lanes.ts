/** Lanes as they are kept on Redis. */
import { queueNameOf } from './ids.js'
import { openArguments } from './lane-limits.js'
import type { CancelQuestion, CancelReply, LaneNews, LaneStore } from './lanes.js'
import type { ServerCalls } from './server-calls.js'
import type { ToldCancel } from './submissions.js'
import { cancelledText } from './submit-answers.js'

type Reply = readonly ['too_late' | 'requested'] | readonly ['cancelled', ToldCancel]

export function redisLanes(calls: ServerCalls, now: () => number): LaneStore {
  const { names } = calls
  return {
    async open(lanes, isForced) {
      const args = lanes.flatMap((lane) => openArguments(lane, queueNameOf(lane.laneId), names))
      const others = await calls.run<string[]>('laneOpen', '', [isForced ? '1' : '0', ...args])
      const known = lanes.flatMap(({ laneId }): [string, string][] => {
        const at = others.indexOf(queueNameOf(laneId))
        return at < 0 ? [] : [[laneId, others[at + 1] as string]]
      })
      return new Map(known)
    },
    async pause(laneId, isPaused, announcement) {
      // a lane that an older BullMQ has paused comes back in portions
      for (let left = 1, tells = '1'; left > 0; tells = '0') {
        const args = [isPaused ? 'paused' : 'resumed', tells, JSON.stringify(announcement)]
        left = await calls.run<number>('lanePause', laneId, args)
      }
    },
    look: (laneIds) => look(calls, laneIds),
    hold: (laneId, ms) => calls.run('laneHold', laneId, [ms]),
    cancel: (question) => cancel(calls, question, now()),
  }
}

async function look(calls: ServerCalls, laneIds: readonly string[]): Promise<readonly LaneNews[]> {
  const { names } = calls
  const answers = await calls.pipeline(({ commands }) => {
    for (const laneId of laneIds) {
      commands.hexists(`${names.prefixOf(laneId)}meta`, 'paused').hget(`${names.own}lanes`, queueNameOf(laneId))
    }
  })
  return laneIds.map((laneId, index) => {
    const limits = answers[2 * index + 1] as string | null
    return { laneId, isPaused: answers[2 * index] === 1, ...(limits === null ? {} : { limits }) }
  })
}

async function cancel(
  calls: ServerCalls,
  { jobId, laneId, isForeign, reason }: CancelQuestion,
  now: number,
): Promise<CancelReply> {
  const prefix = laneId === undefined ? '' : calls.names.prefixOf(laneId)
  const args = [jobId, reason, cancelledText(reason), now, prefix, isForeign ? '1' : '0']
  const reply = await calls.run<Reply>('laneCancel', laneId ?? '', args)
  if (reply[0] !== 'cancelled') return reply[0]
  const [base, cancelled, replyTo, waiters] = reply[1]
  return { laneId: calls.names.laneOf(base), jobId: cancelled, replyTo, waiters }
}
