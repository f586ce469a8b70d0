/** Promises of an engine about workers that wait: they are told, and whatever they do at once, each command runs once. */
import type { EnginePeer } from './describe-engine-peer.js'
import { type EngineCase, type EngineStage, lane, RECOVERY_MS, SOON_MS } from './describe-engine-stage.js'
import { holds, same } from './describe-storage-stage.js'

/** Waits until a worker is told of a lane that it watches. */
function told(stage: EngineStage, peer: EnginePeer, withinMs = SOON_MS): Promise<void> {
  return stage.until(() => peer.work.includes('lane'), `${peer.instanceId} is told of work`, withinMs)
}

/** A worker that asks when it is told of work, as a queue does, and takes one command at a time. */
class IdleWorker {
  readonly ran: string[] = []
  readonly #stage: EngineStage
  readonly #peer: EnginePeer
  #isBusy = false
  #isToldAgain = false
  #retryAt = Number.POSITIVE_INFINITY
  #failure: unknown

  constructor(stage: EngineStage, peer: EnginePeer) {
    this.#stage = stage
    this.#peer = peer
    peer.onWork = () => this.#ask()
    peer.engine.watch(['lane'])
  }

  /** To be called now and then: asks again when the lane has said so. Gives how many have run. */
  look(): number {
    if (this.#failure !== undefined) throw this.#failure as Error
    if (this.#stage.now() >= this.#retryAt) {
      this.#retryAt = Number.POSITIVE_INFINITY
      this.#ask()
    }
    return this.ran.length
  }

  #ask(): void {
    this.#isToldAgain = true
    if (this.#isBusy) return
    this.#isBusy = true
    this.#work().catch((error: unknown) => {
      this.#failure = error
    })
  }

  async #work(): Promise<void> {
    while (this.#isToldAgain) {
      this.#isToldAgain = false
      const answer = await this.#peer.ask()
      if (answer.claim === undefined) {
        this.#retryAt = Math.min(this.#retryAt, answer.retryAt ?? Number.POSITIVE_INFINITY)
        continue
      }
      this.ran.push(answer.claim.command.id)
      await this.#peer.settle(answer.claim)
      this.#isToldAgain = true
    }
    this.#isBusy = false
  }
}

const wakeUps: readonly EngineCase[] = [
  [
    'work-submitted',
    'tells of a command that comes into a lane that is watched',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      worker.engine.watch(['lane', 'other'])
      await worker.finds('empty')
      await stage.sleep(50)
      for (let n = 0; n < 3; n++) {
        worker.work.length = 0
        await submitter.submit()
        await told(stage, worker)
        await worker.runAll()
      }
    },
  ],
  [
    'work-there',
    'tells of the work that is there when a lane is watched',
    async (stage) => {
      const [submitter, worker] = await stage.pair()
      worker.engine.watch(['other'])
      await submitter.submit()
      await stage.sleep(50)
      worker.engine.watch(['other', 'lane'])
      await told(stage, worker)
    },
  ],
  [
    'work-own',
    'tells a process also of what it has submitted itself',
    async (stage) => {
      const peer = await stage.peer()
      peer.engine.watch(['lane'])
      await stage.sleep(50)
      await peer.submit()
      await told(stage, peer)
    },
  ],
  [
    'work-due',
    'lets a waiting worker know in time when a delayed command is due',
    async (stage) => {
      const [submitter, peer] = await stage.pair()
      const worker = new IdleWorker(stage, peer)
      const dueAt = Math.ceil(stage.now()) + 300
      const ids = [await submitter.submit({ dueAt: dueAt + 300 }), await submitter.submit({ dueAt })]
      await stage.until(() => worker.look() === 1, 'the first runs', 300 + SOON_MS)
      await stage.until(() => worker.look() === 2, 'the second runs', 300 + SOON_MS)
      same(worker.ran, [ids[1], ids[0]], 'what has run')
    },
  ],
  [
    'work-room',
    'tells of the room that there is in a full lane again',
    async (stage) => {
      const [first, second] = await stage.pair([lane('lane', { maxConcurrency: 1 })])
      for (let n = 0; n < 4; n++) await first.submit()
      const claim = await first.claim()
      second.engine.watch(['lane'])
      await second.finds('full')
      await stage.sleep(50)
      second.work.length = 0
      await first.settle(claim)
      await told(stage, second)
      const next = await second.claim()
      await first.finds('full')
      // one of those who watch is told, so the other does not
      second.engine.watch([])
      first.engine.watch(['lane'])
      await stage.sleep(50)
      first.work.length = 0
      await second.release(next)
      await told(stage, first)
      await first.claim()
      await second.finds('full')
      first.engine.watch([])
      second.engine.watch(['lane'])
      await stage.sleep(50)
      second.work.length = 0
      await first.engine.configure(lane('lane', { maxConcurrency: 2 }))
      await told(stage, second)
    },
  ],
  [
    'work-resumed',
    'tells of the work of a lane that is resumed',
    async (stage) => {
      const [first, second] = await stage.pair()
      await first.engine.pause('lane')
      await first.submit()
      second.engine.watch(['lane'])
      await second.finds('paused')
      await stage.sleep(50)
      second.work.length = 0
      await first.engine.resume('lane')
      await told(stage, second)
    },
  ],
  [
    'work-recovered',
    'lets a waiting worker have a command whose lease is lost',
    async (stage) => {
      const [submitter, lost] = await stage.brief()
      const id = await submitter.submit()
      await lost.claim()
      const worker = new IdleWorker(stage, submitter)
      await stage.until(() => worker.look() > 0, 'it runs', stage.leaseMs + RECOVERY_MS)
      same(worker.ran, [id], 'what has run')
    },
  ],
  [
    'work-rate',
    'lets a waiting worker know in time when the rate of a lane allows the next',
    async (stage) => {
      const rateLimits = [{ maxCommands: 1, windowMs: 300 }]
      const [submitter, peer] = await stage.pair([lane('lane', { rateLimits })])
      if (!peer.engine.capabilities.rateLimits) return
      const worker = new IdleWorker(stage, peer)
      for (let n = 0; n < 3; n++) await submitter.submit()
      await stage.until(() => worker.look() === 3, 'three commands run', 600 + SOON_MS)
    },
  ],
  [
    'work-all-lanes',
    'leaves no idle worker and no command waiting for the other',
    async (stage) => {
      const submitter = await stage.peer()
      const workers: IdleWorker[] = []
      for (let n = 0; n < 3; n++) workers.push(new IdleWorker(stage, await stage.peer()))
      await stage.sleep(50)
      for (let turn = 1; turn <= 5; turn++) {
        await submitter.add(...Array.from({ length: 10 }, () => submitter.command()))
        const count = (): number => workers.reduce((sum, worker) => sum + worker.look(), 0)
        await stage.until(() => count() === 10 * turn, `${10 * turn} commands run`)
      }
    },
  ],
]

const RACERS = 20
const RACED = 200

const races: readonly EngineCase[] = [
  [
    'race-once',
    'runs each command once while many workers and submitters are at it',
    async (stage) => {
      const peers = await stage.pair([lane('lane', { maxConcurrency: 7 })])
      const ran: string[] = []
      let running = 0
      let mostRunning = 0
      const work = async (peer: EnginePeer): Promise<void> => {
        for (let turn = 0; ran.length < RACED && turn < 100_000; turn++) {
          const { claim } = await peer.ask()
          if (claim === undefined) continue
          running++
          mostRunning = Math.max(mostRunning, running)
          ran.push(claim.command.id)
          await peer.engine.save(claim.lease, claim.progress)
          running--
          await peer.settle(claim)
        }
      }
      const ids: string[] = []
      const submit = async (peer: EnginePeer): Promise<void> => {
        for (let n = 0; n < RACED / 4; n++) ids.push(await peer.submit({ priority: n % 5 }))
      }
      const workers = Array.from({ length: RACERS }, (_, n) => work(peers[n % 2] as EnginePeer))
      await Promise.all([...workers, ...peers.flatMap((peer) => [submit(peer), submit(peer)])])
      same([ran.length, new Set(ran).size, ids.length], [RACED, RACED, RACED], 'how many have run')
      holds(mostRunning <= 7, `${mostRunning} ran at once of a lane that allows 7`)
      const isTold = (): boolean =>
        peers.every(({ outcomes }) => new Set(outcomes.map(({ id }) => id)).size === RACED / 2)
      await stage.until(isTold, 'all outcomes are told')
      for (const peer of peers) await peer.finds('empty')
    },
  ],
  [
    'race-end',
    'takes one end of a lease of many that come at once',
    async (stage) => {
      const [first, second] = await stage.pair()
      for (let n = 0; n < 10; n++) {
        const id = await first.submit()
        const claim = await second.claim()
        const ends = Array.from({ length: 6 }, (_, turn) =>
          second.engine.end(
            claim.lease,
            {
              kind: 'settle',
              state: turn % 3 === 0 ? 'failed' : 'completed',
              result: String(turn),
              error: undefined,
              progress: claim.progress,
              letter: undefined,
            },
            undefined,
          ),
        )
        const winners = (await Promise.all(ends)).flatMap(({ isLost }, turn) => (isLost ? [] : [turn]))
        same(winners.length, 1, 'how many are taken')
        same((await first.outcomeOf(id)).result, String(winners[0]), 'the result')
      }
    },
  ],
  [
    'race-cancel',
    'gives a command one outcome that is claimed and cancelled at once',
    async (stage) => {
      const [first, second] = await stage.pair()
      for (let n = 0; n < 20; n++) {
        const id = await first.submit()
        const [answer, claim] = await Promise.all([first.engine.cancel(id, 'lane', 'race'), second.tryClaim()])
        same(answer, claim === undefined ? 'cancelled' : 'requested', 'the answer')
        if (claim !== undefined) await second.settle(claim)
        const { state } = await first.outcomeOf(id)
        same(state, claim === undefined ? 'cancelled' : 'completed', 'the outcome')
      }
    },
  ],
]

export const workCases: readonly EngineCase[] = [...wakeUps, ...races]
